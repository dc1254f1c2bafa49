"""Memory for bodies, shared."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorikeet.gateway.wire.room import Room


def test_one_holder_fills_half_and_the_next_half_of_the_rest() -> None:
    room = Room(100)
    assert room.take("a", 50)
    assert not room.take("a", 1)
    assert room.take("b", 25)
    assert not room.take("b", 1)
    room.give_back("a", 50)
    assert room.take("b", 25)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 60)), max_size=40))
def test_whatever_is_taken_there_is_room_for_who_has_none(wishes: list[tuple[str, int]]) -> None:
    room = Room(100)
    taken = [(holder, size) for holder, size in wishes if room.take(holder, size)]
    assert sum(size for _, size in taken) + room.free == 100
    assert room.free >= 100 / 2**3 - 1
    for holder, size in taken:
        room.give_back(holder, size)
    assert room.free == 100
