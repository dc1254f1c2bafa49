"""When an engine counts as hung: rows of what is seen, second by second."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from lorikeet.agent.pulse import Pulse, Rhythm

Second = tuple[float, float | None]
"""How long the quietest request has had no word of the engine, and what the counters add up to."""


def hung_at(seconds: Iterable[Second]) -> Iterator[int]:
    """The seconds at which it counts as hung; the counters are looked at only when it is time to."""
    pulse = Pulse(Rhythm())
    for now, (quiet_for, work) in enumerate(seconds):
        if pulse.due(now, quiet_for):
            pulse.beat(now, quiet_for, work)
        if pulse.hung:
            yield now


def still(count: int, quiet_for: float = 9.0, work: float | None = 5.0) -> list[Second]:
    return [(quiet_for, work)] * count


def patience_of(seconds: int, rounds: int) -> list[Second]:
    """Clients that give up after some seconds, ask again at once, and get nothing."""
    return [(float(second), 5.0) for _ in range(rounds) for second in range(seconds)]


ROWS: list[tuple[str, list[Second], int | None]] = [
    ("it stands still for twenty seconds", still(21), 20),
    ("for a little less", still(20), None),
    ("it moves now and then", (still(15) + still(15, work=6.0)) * 9, None),
    ("nobody waits", still(999, quiet_for=0.0), None),
    ("everybody waits shortly: a flood of requests that are refused", still(999, quiet_for=1.9), None),
    ("it was idle before", still(500, quiet_for=0.0) + still(21), 520),
    ("it counts nothing", still(999, work=None), None),
    ("its clients give up after ten seconds", patience_of(10, rounds=9), 22),
    ("its clients give up after three", patience_of(3, rounds=30), 23),
    ("nobody waits for long between two stalls", (still(15) + still(60, quiet_for=0.0)) * 3, None),
    ("it starts again from nothing", still(15) + still(60, quiet_for=0.0) + still(21), 95),
]


@pytest.mark.parametrize(("seconds", "found"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_a_hang(seconds: list[Second], found: int | None) -> None:
    assert next(hung_at(seconds), None) == found


def test_clients_that_leave_do_not_heal_it() -> None:
    away_and_back = still(21) + still(30, quiet_for=0.0) + still(5)
    assert list(hung_at(away_and_back)) == list(range(20, len(away_and_back)))


def test_counters_that_move_do() -> None:
    assert list(hung_at(still(25) + still(10, work=6.0))) == [20, 21, 22, 23, 24]
