"""One adapter's versions on all replicas: what stays, what may come, and whose turn it is. Pure.

    a slot to spare:  old ── old and new ── (new on every home, names flip, told) ── new
    none to spare:    old ── (its turn) ── new           one home at a time, while another answers
                      old ── old and new ── new          beyond the slots, where no other answers

`answering` is what gateways were told of: nothing is taken away before its successor is in there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from lorikeet.api.loraadapter import State
from lorikeet.api.wire import AdapterState
from lorikeet.controller.placement import Place
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import (
    failed_for_good,
    is_here,
    is_hopeless,
    loaded,
    version_back,
    wanted_entry,
)


@dataclass(frozen=True)
class Stand:
    """An adapter on one replica."""

    pod: str
    home: bool
    """Whether its place is here; else it is only still here."""
    new: AdapterState | None = None
    """The wanted version."""
    old: AdapterState | None = None
    """Another one, or one that has no place here, which is loaded and shall stay for now."""
    back: str | None = None
    """The version to go back to: nothing is loaded, and the wanted one is not to be had."""

    @property
    def first(self) -> str | None:
        """The version to load before the wanted one, or in its place."""
        return self.old.uri if self.old else self.back

    @property
    def both(self) -> bool:
        """Whether two versions are loaded."""
        return self.old is not None and self.new is not None and self.new.state is State.LOADED


@dataclass(frozen=True)
class Rollout:
    """An adapter, its place, and what there is of it."""

    adapter: Adapter
    place: Place
    homes: Sequence[Replica]
    """Where its place is."""
    holding: Sequence[Replica]
    """All replicas that know something of it."""
    answering: Set[str] = frozenset()
    """Pods that answer for it, and gateways know."""

    @cached_property
    def uri(self) -> str | None:
        """The wanted version."""
        return self.adapter.pinned_uri

    def stand(self, replica: Replica) -> Stand:
        """How things are on one replica."""
        if replica.pod not in self.place.pods:
            return Stand(replica.pod, False, old=self._leaving(replica))
        new, old = wanted_entry(self.adapter, replica) if self.uri else None, self._old(replica)
        return Stand(replica.pod, True, new, old, None if old else version_back(self.adapter, replica))

    def turn(self, crowded: Set[str]) -> tuple[str | None, bool]:
        """Which of the `crowded` homes, which have no slot for a second version, changes now; whether beyond its slots.

        One at a time, and none while a home has nothing to answer with: that is the one whose turn it was, or one in
        trouble. A version that failed for good somewhere is brought to no further replica.
        """
        if not crowded:
            return None, False
        if any(self._is_empty(home) or failed_for_good(wanted_entry(self.adapter, home)) for home in self.homes):
            return None, False
        ready = [home.pod for home in self.homes if home.pod in crowded and is_here(wanted_entry(self.adapter, home))]
        loaded_on = {home.pod for home in self.homes if home.routed and loaded(self.adapter, home)}
        for pod in sorted(ready):
            if self.answering & self.place.pods - {pod}:
                return pod, False
        alone = [pod for pod in ready if not loaded_on - {pod}]
        return min(alone, default=None), True

    def is_last(self, pod: str) -> bool:
        """Whether the one that is only still on `pod` is all there is to answer: no home does, and it is the first."""
        if self.answering & self.place.pods or not self.homes:
            return False
        left = [replica.pod for replica in self.holding if replica.routed and loaded(self.adapter, replica)]
        return pod == min(set(left) - self.place.pods, default=None)

    def was_told(self, entry: AdapterState | None, pod: str) -> bool:
        """Whether gateways know that a version is loaded on `pod`."""
        return entry is not None and (pod, entry.digest) in self.adapter.told_rows

    @cached_property
    def _flipped(self) -> bool:
        """Whether gateways were told that the names mean the wanted version."""
        name, told = self.adapter.told.engine_name, self.adapter.told_version
        known = told is not None and told.uri == self.uri
        entries = (entry for home in self.homes for entry in loaded(self.adapter, home) if entry.uri == self.uri)
        return known or any(entry.engine_name == name for entry in entries)

    @cached_property
    def _succeeded(self) -> bool:
        """Whether the wanted version answers somewhere, and gateways know."""
        ready = (home for home in self.homes if home.pod in self.answering)
        return any(
            self.was_told(entry, home.pod)
            for home in ready
            for entry in loaded(self.adapter, home)
            if entry.uri == self.uri
        )

    def _old(self, home: Replica) -> AdapterState | None:
        """The other version that stays on a home until the wanted one is told: the one that was told, else any."""
        if self._flipped and self._succeeded:
            return None
        return self._best(entry for entry in loaded(self.adapter, home) if entry.uri != self.uri)

    def _leaving(self, replica: Replica) -> AdapterState | None:
        """What stays where it has no place, until all its homes that take requests answer for it."""
        homes = {home.pod for home in self.homes if home.routed}
        if not self.place.is_wanted or (homes and homes <= self.answering):
            return None
        return self._best(loaded(self.adapter, replica))

    def _best(self, entries: Iterable[AdapterState]) -> AdapterState | None:
        name = self.adapter.told.engine_name
        return min(entries, key=lambda one: (one.engine_name != name, one.uri != self.uri, one.uri), default=None)

    def _is_empty(self, home: Replica) -> bool:
        return home.routed and not loaded(self.adapter, home) and not is_hopeless(self.adapter, home)


def answering(adapter: Adapter, seen: Seen) -> frozenset[str]:
    """The pods that answer for `adapter` now, as gateways were told."""
    rows, endpoints = adapter.told_rows, seen.server.endpoints if seen.server else frozenset()
    return frozenset(
        replica.pod
        for replica in seen.holding(adapter.ref.name)
        if replica.routed
        and replica.pod in endpoints
        and any((replica.pod, entry.digest) in rows for entry in loaded(adapter, replica))
    )
