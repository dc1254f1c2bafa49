"""Where adapters go: the same facts give the same places, and a change moves little."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.controller.placement import Place, Wish, place, replicas_needed, slots_needed

PODS = [f"qwen-engine-{number}" for number in range(10)]
ADAPTERS = [f"adapter-{number}" for number in range(200)]
PLENTY = 1000

pod_names = st.lists(st.text("abc-0123456789", min_size=1, max_size=8), unique=True, max_size=8)
slot_counts = st.integers(0, 6)


def wish(adapter: str = "sql", count: int | None = None, *, rank: int = 0, weightless: Iterable[str] = ()) -> Wish:
    return Wish((rank, "", adapter), adapter, count, frozenset(weightless))


def places(
    wishes: Iterable[Wish], pods: Iterable[str], slots: int = PLENTY, silent: Iterable[str] = ()
) -> Mapping[str, Place]:
    return place(wishes, {pod: pod not in set(silent) for pod in pods}, slots).places


@st.composite
def wish_lists(draw: st.DrawFn) -> list[Wish]:
    names = draw(st.lists(st.sampled_from(ADAPTERS[:12]), unique=True))
    counts = st.none() | st.integers(0, 4)
    return [wish(name, draw(counts), rank=draw(st.integers(0, 2))) for name in names]


class TestOne:
    def test_without_a_count_it_is_on_every_replica(self) -> None:
        assert places([wish()], PODS)["sql"].homes == set(PODS)

    def test_with_more_than_there_are_it_is_on_every_replica_and_lacks_nothing(self) -> None:
        assert places([wish(count=11)], PODS)["sql"] == Place(frozenset(PODS))

    @given(pod_names, st.integers(0, 12))
    def test_it_is_on_so_many_as_are_asked_for_and_there(self, pods: list[str], count: int) -> None:
        assert len(places([wish(count=count)], pods)["sql"].homes) == min(count, len(pods))

    @given(pod_names, st.integers(0, 10))
    def test_one_more_copy_leaves_the_others_where_they_are(self, pods: list[str], count: int) -> None:
        before, after = (places([wish(count=number)], pods)["sql"].homes for number in (count, count + 1))
        assert before <= after

    @given(pod_names.filter(lambda pods: len(pods) > 1), st.integers(1, 5))
    def test_a_replica_that_goes_moves_only_what_it_held(self, pods: list[str], count: int) -> None:
        before, after = (places([wish(count=count)], names)["sql"].homes for names in (pods, pods[1:]))
        assert before - {pods[0]} <= after


class TestMany:
    def test_they_are_spread_over_all_replicas(self) -> None:
        found = places([wish(name, 1) for name in ADAPTERS], PODS)
        held = Counter(pod for each in found.values() for pod in each.homes)
        assert min(held[pod] for pod in PODS) > len(ADAPTERS) / len(PODS) / 3

    def test_one_more_replica_moves_about_its_share(self) -> None:
        wishes = [wish(name, 1) for name in ADAPTERS]
        before, after = places(wishes, PODS), places(wishes, [*PODS, "qwen-engine-new"])
        moved = [name for name in ADAPTERS if before[name] != after[name]]
        assert 0 < len(moved) < len(ADAPTERS) / len(PODS) * 2
        assert all(after[name].homes == {"qwen-engine-new"} for name in moved)

    def test_where_slots_are_few_they_fill_all_of_them(self) -> None:
        wishes = [wish(name, 1) for name in ADAPTERS]
        assert place(wishes, dict.fromkeys(PODS, True), 20).used == dict.fromkeys(PODS, 20)


class TestFewSlots:
    def test_the_one_of_higher_priority_keeps_it_and_the_other_lacks_it(self) -> None:
        found = places([wish("low", rank=1), wish("high", rank=0)], ["a", "b"], slots=1)
        assert (found["high"], found["low"]) == (Place(frozenset("ab")), Place(missing=2))

    def test_one_that_finds_its_replica_full_goes_to_the_next_it_prefers(self) -> None:
        first = next(iter(places([wish(count=1)], "abc")["sql"].homes))
        second = next(iter(places([wish(count=2)], "abc")["sql"].homes - {first}))
        blocker = next(name for name in ADAPTERS if places([wish(name, 1)], "abc")[name].homes == {first})
        found = places([wish(count=1, rank=1), wish(blocker, 1)], "abc", slots=1)
        assert found["sql"].homes == {second}

    def test_what_cannot_be_loaded_takes_no_slot_from_another(self) -> None:
        found = places([wish("broken", weightless="ab"), wish("fine", rank=1)], ["a", "b"], slots=1)
        assert [found[name].homes for name in ("broken", "fine")] == [{"a", "b"}, {"a", "b"}]

    @given(wish_lists(), pod_names, slot_counts)
    def test_no_replica_holds_more_than_its_slots(self, wishes: list[Wish], pods: list[str], slots: int) -> None:
        found = place(wishes, {pod: len(pod) % 2 == 0 for pod in pods}, slots)
        held = Counter(pod for each in found.places.values() for pod in each.pods)
        assert all(held[pod] == found.used[pod] <= slots for pod in pods)

    @given(wish_lists(), pod_names, slot_counts, st.integers(0, 12))
    def test_nobodys_homes_depend_on_who_comes_after(
        self, wishes: list[Wish], pods: list[str], slots: int, cut: int
    ) -> None:
        ahead = sorted(wishes)[:cut]
        everything, alone = places(wishes, pods, slots), places(ahead, pods, slots)
        assert all(everything[one.adapter].homes == alone[one.adapter].homes for one in ahead)

    @given(wish_lists(), pod_names, slot_counts)
    def test_who_lacks_a_slot_lacks_it_because_all_others_are_full(
        self, wishes: list[Wish], pods: list[str], slots: int
    ) -> None:
        found = place(wishes, dict.fromkeys(pods, True), slots)
        for each in found.places.values():
            assert each.missing == 0 or all(found.used[pod] == slots for pod in set(pods) - each.homes)

    @given(wish_lists(), pod_names.filter(bool), slot_counts, st.randoms(use_true_random=False))
    def test_with_one_more_replica_whoever_moves_goes_where_it_would_rather_be(
        self, wishes: list[Wish], pods: list[str], slots: int, chance: random.Random
    ) -> None:
        fewer = [pod for pod in pods if pod != chance.choice(pods)]
        before, after = places(wishes, fewer, slots), places(wishes, pods, slots)
        for one in wishes:
            liked = [next(iter(places([replace(one, count=1)], pods)[one.adapter].homes))]
            for count in range(2, len(pods) + 1):
                homes = places([replace(one, count=count)], pods)[one.adapter].homes
                liked.append(next(iter(homes - set(liked))))
            old, new = before[one.adapter].homes, after[one.adapter].homes
            assert len(old) <= len(new)
            assert not old - new or max(map(liked.index, new - old)) < min(map(liked.index, old - new))


class TestShuffles:
    @settings(max_examples=200)
    @given(wish_lists(), pod_names, slot_counts, st.randoms(use_true_random=False))
    def test_the_order_of_the_facts_does_not_matter(
        self, wishes: list[Wish], pods: list[str], slots: int, chance: random.Random
    ) -> None:
        def mixed(items: list[str] | list[Wish]) -> list[str] | list[Wish]:
            return chance.sample(items, len(items))  # type: ignore[type-var, return-value]

        silent = pods[::2]
        assert places(mixed(wishes), mixed(pods), slots, silent) == places(wishes, pods, slots, silent)  # type: ignore[arg-type]


class TestStandIns:
    def test_one_whose_home_takes_no_requests_is_on_another_too_until_it_does(self) -> None:
        home = places([wish(count=1)], "abc")["sql"].homes
        found = places([wish(count=1)], "abc", silent=home)["sql"]
        assert found.homes == home
        assert len(found.stand_ins) == 1
        assert places([wish(count=1)], "abc", silent=set("abc") - home)["sql"] == Place(home)

    def test_a_stand_in_takes_no_slot_that_another_has_use_for(self) -> None:
        home = places([wish(count=1)], "ab")["sql"].homes
        found = places([wish(count=1), wish("everywhere", rank=1)], "ab", slots=2, silent=home)
        assert found["sql"].stand_ins == set("ab") - home
        found = places([wish(count=1), wish("everywhere", rank=1)], "ab", slots=1, silent=home)
        assert (found["sql"].stand_ins, found["everywhere"].homes) == (set(), set("ab") - home)

    def test_where_nobody_takes_requests_there_is_none(self) -> None:
        assert places([wish(count=1)], "abc", silent="abc")["sql"].stand_ins == set()


class TestAdvice:
    @given(wish_lists(), pod_names.filter(bool))
    def test_with_the_slots_that_are_named_nobody_lacks_one_and_with_one_less_somebody_does(
        self, wishes: list[Wish], pods: list[str]
    ) -> None:
        needed = slots_needed(frozenset(wishes), frozenset(pods))
        assert place(wishes, dict.fromkeys(pods, True), needed).missing == 0
        assert needed == 0 or place(wishes, dict.fromkeys(pods, True), needed - 1).missing > 0

    @pytest.mark.parametrize(
        ("counts", "slots", "replicas"),
        [([None, 1, 1, 1], 2, 3), ([1, 1, 1], 2, 2), ([None, None, 1], 2, None), ([None], 2, 0)],
    )
    def test_it_says_how_many_replicas_would_do_where_any_number_would(
        self, counts: list[int | None], slots: int, replicas: int | None
    ) -> None:
        wishes = [wish(name, count) for name, count in zip(ADAPTERS, counts, strict=False)]
        assert replicas_needed(wishes, slots) == replicas
