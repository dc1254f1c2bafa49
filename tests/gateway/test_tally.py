"""Quotas that several processes of a gateway count together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lorikeet.api.apikeys import KeyLimits
from lorikeet.gateway import tally as module
from lorikeet.gateway.quota import Quota
from lorikeet.gateway.tally import Row, Tally

WORKERS = 3


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "tally"
    path.touch()
    return path


def row(table: Path, worker: int, name: str = "tenant acme") -> Row:
    found = Tally(table, worker, WORKERS).row(name)
    assert found is not None
    return found


def quotas(table: Path, limits: KeyLimits, now: float = 0.0) -> list[Quota]:
    return [Quota(limits, now, row(table, worker)) for worker in range(WORKERS)]


def test_each_hears_what_the_others_took_and_not_what_it_took_itself(table: Path) -> None:
    first, second, third = (row(table, worker) for worker in range(WORKERS))
    first.add(1.0, 100.0, 1.0)
    second.add(2.0, 50.0, 2.0)
    assert first.others() == (2.0, 50.0, 2.0)
    assert second.others() == (1.0, 100.0, 1.0)
    assert third.others() == (3.0, 150.0, 3.0)


def test_another_quota_is_another_row(table: Path) -> None:
    row(table, 0, "tenant acme").add(1.0, 1.0, 1.0)
    assert row(table, 1, "key acme").others() == (0.0, 0.0, 0.0)


def test_of_a_worker_that_died_its_requests_are_not_under_way_any_more_and_what_they_took_stays_taken(
    table: Path,
) -> None:
    row(table, 0).add(5.0, 500.0, 5.0)
    other = row(table, 1)
    assert other.others() == (5.0, 500.0, 5.0)
    row(table, 0).add(1.0, 10.0, 1.0)  # its successor
    assert other.others() == (6.0, 510.0, 1.0)


def test_where_there_is_no_row_left_each_counts_for_itself(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 2)
    full = Tally(table, 0, WORKERS)
    found = [full.row(name) for name in ("a", "b", "c")]
    assert [one is None for one in found] == [False, False, True]
    assert full.row("b") is not None


def test_processes_that_ask_for_rows_at_the_same_moment_agree_on_them(table: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from lorikeet.gateway.tally import Tally\n"
        "tally = Tally(Path(sys.argv[1]), int(sys.argv[2]), 3)\n"
        "sys.stdin.readline()\n"
        "for number in range(500):\n"
        "    tally.row(f'tenant {number}').add(number, 0.0, 0.0)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(table), str(worker)], stdin=subprocess.PIPE)
        for worker in range(2)
    ]
    for process in running:
        process.communicate(b"now\n", timeout=60)
    third = Tally(table, 2, WORKERS)
    found = [third.row(f"tenant {number}") for number in range(500)]
    assert [one.others()[0] for one in found if one is not None] == [2.0 * number for number in range(500)]


def test_requests_a_second_are_those_of_all_together(table: Path) -> None:
    all_of = quotas(table, KeyLimits(requests_per_second=6))
    admitted = 0
    for _ in range(10):
        for quota in all_of:
            if quota.wait(0.0)[0] == 0.0:
                quota.start(0.0)
                admitted += 1
    assert admitted == 6
    assert [quota.wait(1.0)[0] for quota in all_of] == [0.0] * WORKERS  # a second later there are six more


def test_tokens_a_minute_are_those_of_all_together(table: Path) -> None:
    first, second, _ = quotas(table, KeyLimits(tokens_per_minute=60))
    first.start(10.0)
    first.spend(90.0)
    assert second.wait(0.0) == (41.0, "tokens a minute")
    first.spend(-100.0)  # it cost nothing after all
    assert second.wait(0.0) == (0.0, "")


def test_requests_at_once_are_those_of_all_together(table: Path) -> None:
    first, second, third = quotas(table, KeyLimits(concurrency=2))
    first.start(0.0)
    second.start(0.0)
    assert third.wait(0.0) == (1.0, "requests at once")
    first.end()
    assert third.wait(0.0) == (0.0, "")


@pytest.mark.parametrize("worker", [0, 1])
def test_whoever_comes_later_begins_with_what_is_left(table: Path, worker: int) -> None:
    """Another one, or the successor of the one that took it."""
    limits = KeyLimits(requests_per_second=2, tokens_per_minute=60)
    first = Quota(limits, 0.0, row(table, 0))
    for _ in range(2):
        assert first.wait(0.0)[0] == 0.0
        first.start(0.0)
    late = Quota(limits, 0.0, row(table, worker))
    assert late.wait(0.0) == (0.5, "requests a second")
    assert late.wait(0.5)[0] == 0.0
    first.spend(90.0)
    late = Quota(limits, 1.0, row(table, worker))
    assert late.wait(1.0) == (30.0, "tokens a minute")


def test_what_was_long_ago_is_owed_no_more(table: Path) -> None:
    limits = KeyLimits(requests_per_second=2)
    first = Quota(limits, 0.0, row(table, 0))
    for _ in range(100):
        first.wait(0.0)
        first.start(0.0)
    late = Quota(limits, 60.0, row(table, 1))
    assert [late.wait(60.0)[0], late.start(0.0), late.wait(60.0)[0]] == [0.0, None, 0.0]
