"""How long to wait before the next try."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.backoff import Backoff, Tries


@pytest.mark.parametrize(
    ("attempts", "asked", "chance", "seconds"),
    [(1, None, 0, 0.05), (2, None, 0, 0.1), (5, None, 0, 0.8), (99, None, 0, 60), (1, 30, 0, 30), (1, 30, 0.5, 37.5)],
)
def test_waits_double_to_a_cap_and_never_undercut_what_was_asked(
    attempts: int, asked: float | None, chance: float, seconds: float
) -> None:
    assert Backoff().delay(attempts, asked, chance) == pytest.approx(seconds)


def test_a_success_makes_the_next_failure_a_first_one() -> None:
    tries = Tries(Backoff(first=1.0, cap=4.0), lambda: 0.0)
    assert [tries.failed() for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]
    tries.succeeded()
    assert tries.failed() == 1.0


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_no_wait_is_shorter_than_the_first_or_twice_the_cap(attempts: int, chance: float) -> None:
    backoff = Backoff(first=0.05, cap=60.0)
    assert backoff.first <= backoff.delay(attempts, None, chance) < 2 * backoff.cap
