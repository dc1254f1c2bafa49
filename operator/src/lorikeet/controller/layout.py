"""Which replicas shall hold which version of which adapter: the whole of what a server's replicas shall be. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from functools import cached_property

from lorikeet.api.loraadapter import State
from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.controller.placement import Place, Wish, place, replicas_needed, slots_needed
from lorikeet.controller.ranks import max_rank
from lorikeet.controller.rights import names_of
from lorikeet.controller.rollout import Rollout, answering
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.shares import shares
from lorikeet.controller.versions import is_hopeless

NOWHERE = Place()


@dataclass(frozen=True)
class Layout:
    """Where every adapter of a server goes, and what each replica shall hold of it."""

    places: Mapping[str, Place] = field(default_factory=dict)
    """Adapter → its place; none for one that has no name to answer to."""
    slots: int = 0
    """What each replica has."""
    used: int = 0
    """Slots that are taken on the fullest replica."""
    needed: int = 0
    """Slots that each replica must have so that nobody lacks one."""
    holders: Mapping[str, Adapter] = field(default_factory=dict)
    """Where some adapter lacks a slot: pod → who has its last one, and is the first to lose it."""
    enough: int | None = None
    """How many replicas would have a slot for everybody; None where no number has, or nobody lacks one."""
    shares: Mapping[str, tuple[WantedAdapter, ...]] = field(default_factory=dict)
    """Pod → what it shall hold."""
    untouched: Mapping[str, tuple[WantedAdapter, ...]] = field(default_factory=dict)
    """Pod → what it has and shall keep besides, though nobody may be sent there."""
    max_rank: int = 0
    """The highest rank that engines shall be started for."""

    def place(self, adapter: Adapter) -> Place:
        """Where `adapter` goes."""
        return self.places.get(adapter.ref.name, NOWHERE)

    def replicas(self, adapter: Adapter, seen: Seen) -> tuple[Replica, ...]:
        """The replicas that shall hold `adapter`."""
        return seen.of(self.place(adapter).pods)

    def wanted(self, pod: str) -> Wanted:
        """The whole of what `pod` shall hold."""
        return Wanted(adapters=(*self.shares[pod], *self.untouched[pod]))

    def loads(self, adapter: Adapter, pod: str) -> Set[str]:
        """The URIs of its versions that shall be loaded on `pod`."""
        return self._loads[pod].get(adapter.ref.name, frozenset()) if pod in self._loads else frozenset()

    @cached_property
    def _loads(self) -> Mapping[str, Mapping[str, Set[str]]]:
        found: dict[str, dict[str, set[str]]] = {pod: defaultdict(set) for pod in self.shares}
        for pod, share in self.shares.items():
            for entry in share:
                if entry.load:
                    found[pod][entry.adapter].add(entry.uri)
        return found


def lay_out(seen: Seen) -> Layout:
    """Give each adapter its replicas, and each replica its versions."""
    if seen.server is None:
        return Layout()
    slots = seen.server.spec.lora.max_cpu_loras
    found = _placed(seen, slots)
    rollouts = [
        Rollout(
            adapter,
            found.place(adapter),
            found.replicas(adapter, seen),
            seen.holding(adapter.ref.name),
            answering(adapter, seen),
        )
        for adapter in sorted(seen.adapters, key=lambda adapter: adapter.order)
    ]
    shared = shares(rollouts, seen.replicas, slots)
    keys: dict[str, str | None] = dict.fromkeys(seen.unread)
    keys |= {one.ref.name: one.spec.source.credentials_key for one in seen.adapters if one.undetermined}
    untouched = {pod: tuple(_untouched(seen, pod, keys)) for pod in shared}
    return replace(found, shares=shared, untouched=untouched, max_rank=max_rank(seen))


def _untouched(seen: Seen, pod: str, keys: Mapping[str, str | None]) -> Iterator[WantedAdapter]:
    """What the replica has, as it is, of adapters of which nobody can say what is meant: by name, their credentials."""
    [replica] = seen.of([pod])
    for name in sorted(keys):
        for entry in replica.holds(name):
            if entry.uri and entry.state not in (State.DRAINING, State.FAILED):
                load = entry.state is not State.STAGED
                yield WantedAdapter(adapter=name, uri=entry.uri, credentials_key=keys[name], load=load)


def _placed(seen: Seen, slots: int) -> Layout:
    wishes = {_wish(adapter, seen): adapter for adapter in seen.adapters if names_of(adapter, seen)}
    found = place(wishes, {replica.pod: replica.routed for replica in seen.replicas}, slots)
    used = max(found.used.values(), default=0)
    if not found.missing:
        return Layout(found.places, slots, used, used)
    needed = slots_needed(frozenset(wishes), frozenset(found.used))
    holders = {
        pod: wishes[wish] for wish in sorted(wishes) for pod in found.places[wish.adapter].homes - wish.weightless
    }
    return Layout(found.places, slots, used, needed, holders, replicas_needed(wishes, slots))


def _wish(adapter: Adapter, seen: Seen) -> Wish:
    name = adapter.ref.name
    doubtful = (each for each in seen.replicas if adapter.pin is None or name in each.failing)
    weightless = frozenset(replica.pod for replica in doubtful if is_hopeless(adapter, replica))
    return Wish(adapter.order, name, adapter.spec.replicas, weightless)
