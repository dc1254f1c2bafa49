"""Which replica a request goes to."""

from __future__ import annotations

from lorikeet.api.ref import Ref
from lorikeet.gateway.catalog import Target
from lorikeet.gateway.pick import DOUBT_SECONDS, Picker

A, B, C = (Target(Ref("ns", "qwen"), "uid", f"pod-{n}", f"10.0.0.{n}:8000", "sql@1", n) for n in range(3))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_replica_with_least_in_flight_is_picked_and_ties_are_stable() -> None:
    picker = Picker(Clock())
    assert picker.pick((C, B, A)) is A
    with picker.in_flight(A):
        assert picker.pick((C, B, A)) is B
        with picker.in_flight(B), picker.in_flight(B):
            assert picker.pick((A, B)) is A
    assert picker.pick((C, B, A)) is A


def test_what_was_tried_is_not_picked_again() -> None:
    picker = Picker(Clock())
    assert picker.pick((A, B), tried=[A]) is B
    assert picker.pick((A, B), tried=[A, B]) is None


def test_a_doubted_row_comes_last_for_a_moment_and_is_still_better_than_none() -> None:
    clock = Clock()
    picker = Picker(clock)
    picker.doubt(A)
    with picker.in_flight(B):
        assert picker.pick((A, B)) is B
        assert picker.pick((A,)) is A
        clock.now += DOUBT_SECONDS
        assert picker.pick((A, B)) is A
