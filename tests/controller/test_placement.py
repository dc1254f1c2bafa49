"""Where adapters go: the same facts give the same places, and a change moves little."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from lorikeet.controller.placement import place

PODS = [f"qwen-engine-{number}" for number in range(10)]
ADAPTERS = [f"adapter-{number}" for number in range(200)]
names = st.lists(st.text("abc-0123456789", min_size=1, max_size=8), unique=True, max_size=12)


def test_without_a_count_every_pod_holds_it() -> None:
    assert place("sql", None, PODS) == frozenset(PODS)


def test_with_more_than_there_are_every_pod_holds_it() -> None:
    assert place("sql", 11, PODS) == frozenset(PODS)


@given(names, st.integers(0, 12))
def test_so_many_hold_it_as_are_asked_for_and_there(pods: list[str], count: int) -> None:
    assert len(place("sql", count, pods)) == min(count, len(pods))


@given(names, st.integers(0, 12), st.randoms())
def test_the_order_in_which_pods_are_seen_does_not_matter(pods: list[str], count: int, chance: random.Random) -> None:
    mixed = list(pods)
    chance.shuffle(mixed)
    assert place("sql", count, mixed) == place("sql", count, pods)


@given(names.filter(lambda pods: len(pods) > 1), st.integers(1, 5))
def test_a_pod_that_goes_moves_only_what_it_held(pods: list[str], count: int) -> None:
    before, after = place("sql", count, pods), place("sql", count, pods[1:])
    assert before - {pods[0]} <= after


@given(names, st.integers(0, 10))
def test_one_more_copy_leaves_the_others_where_they_are(pods: list[str], count: int) -> None:
    assert place("sql", count, pods) <= place("sql", count + 1, pods)


def test_one_more_pod_moves_about_its_share() -> None:
    moved = sum(place(name, 1, PODS) != place(name, 1, [*PODS, "qwen-engine-new"]) for name in ADAPTERS)
    assert 0 < moved < len(ADAPTERS) / len(PODS) * 2


def test_many_adapters_are_spread_over_all_pods() -> None:
    held = [pod for name in ADAPTERS for pod in place(name, 1, PODS)]
    assert min(held.count(pod) for pod in PODS) > len(ADAPTERS) / len(PODS) / 3
