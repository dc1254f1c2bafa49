"""Which replicas hold which adapter. Pure and stable: same facts, same places; a change moves little.

Each replica has so many slots. Adapters choose in their order, higher priority first, then the older; each takes the
replicas it prefers (rendezvous hashing) among those that have a slot left. So nobody's place depends on who comes after
it, and nothing is ever moved to balance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, order=True)
class Wish:
    """One adapter's. Smaller ones choose first."""

    order: tuple[int, str, str]
    adapter: str
    count: int | None = None
    """On how many replicas; None: on all."""
    weightless: frozenset[str] = frozenset()
    """Pods on which it takes no slot from anybody, because it cannot be loaded there."""


@dataclass(frozen=True)
class Place:
    """Where one adapter goes."""

    homes: frozenset[str] = frozenset()
    stand_ins: frozenset[str] = frozenset()
    """Further pods, for as long as some home takes no requests: only slots that nobody else has use for."""
    missing: int = 0
    """Homes it lacks for want of slots."""

    @property
    def is_wanted(self) -> bool:
        """Whether it asks for any replica."""
        return bool(self.homes) or self.missing > 0

    @property
    def pods(self) -> frozenset[str]:
        """All of them."""
        return self.homes | self.stand_ins


@dataclass(frozen=True)
class Placement:
    """Where everything goes."""

    places: Mapping[str, Place]
    used: Mapping[str, int]
    """Pod → slots that are taken."""

    @property
    def missing(self) -> int:
        """Homes that are lacking in all."""
        return sum(place.missing for place in self.places.values())


def place(wishes: Iterable[Wish], pods: Mapping[str, bool], slots: int) -> Placement:
    """Fit `wishes` into `slots` on each of `pods` (name → whether it takes requests)."""
    ordered, names, room = sorted(wishes), tuple(sorted(pods)), _Room(pods, slots)
    homes = {wish.adapter: room.take(wish, _preferred(wish, names), _count(wish, names)) for wish in ordered}
    places = {}
    for wish in ordered:
        own, count = homes[wish.adapter], _count(wish, names)
        up = [pod for pod in _preferred(wish, names) if pods[pod]]
        lacking = count - len(own.intersection(up))
        stand_ins = room.take(wish, [pod for pod in up if pod not in own], lacking) if lacking else frozenset()
        places[wish.adapter] = Place(own, stand_ins, count - len(own))
    return Placement(places, {pod: slots - free for pod, free in room.free.items()})


@lru_cache(maxsize=64)
def slots_needed(wishes: frozenset[Wish], pods: frozenset[str]) -> int:
    """The fewest slots for each of `pods` that leave no adapter without one of its homes."""
    up = dict.fromkeys(pods, False)
    low, high = 0, len(wishes)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if place(wishes, up, middle).missing else (low, middle)
    return low


def replicas_needed(wishes: Iterable[Wish], slots: int) -> int | None:
    """How many replicas of so many slots have room for everything; None where no number has."""
    heavy = [wish.count for wish in wishes if not wish.weightless]
    left = slots - heavy.count(None)
    return -(-sum(filter(None, heavy)) // left) if left > 0 else None


class _Room:
    """The slots that are left."""

    def __init__(self, pods: Iterable[str], slots: int) -> None:
        self.free = dict.fromkeys(pods, slots)

    def take(self, wish: Wish, preferred: Sequence[str], count: int) -> frozenset[str]:
        """Up to `count` of the `preferred` pods that have room for it."""
        fitting = [pod for pod in preferred if self.free[pod] > 0 or pod in wish.weightless]
        for pod in fitting[:count]:
            self.free[pod] -= pod not in wish.weightless
        return frozenset(fitting[:count])


def _count(wish: Wish, pods: Sequence[str]) -> int:
    return len(pods) if wish.count is None else min(wish.count, len(pods))


def _preferred(wish: Wish, pods: tuple[str, ...]) -> Sequence[str]:
    return pods if wish.count is None else _rendezvous(wish.adapter, pods)


@lru_cache(maxsize=16384)
def _rendezvous(adapter: str, pods: tuple[str, ...]) -> tuple[str, ...]:
    """`pods`, the one that `adapter` prefers first; one pod more or less leaves the others' order alone."""
    return tuple(sorted(pods, key=lambda pod: hashlib.sha256(f"{adapter}\0{pod}".encode()).digest(), reverse=True))
