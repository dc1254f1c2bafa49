"""Which replicas shall hold which adapter: the facts of a pass, as wishes for slots, and what comes of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lorikeet.controller.placement import Place, Wish, place, replicas_needed, slots_needed
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import is_hopeless

NOWHERE = Place()


@dataclass(frozen=True)
class Layout:
    """Where every adapter of a server goes."""

    places: Mapping[str, Place] = field(default_factory=dict)
    """Adapter → its place; none for one that has no name to answer to."""
    slots: int = 0
    """What each replica has."""
    used: int = 0
    """Slots that are taken on the fullest replica."""
    needed: int = 0
    """Slots that each replica must have so that nobody lacks one."""

    holders: Mapping[str, Adapter] = field(default_factory=dict)
    """Pod → who has its last slot: the first to lose it."""
    enough: int | None = None
    """How many replicas would have a slot for everybody; None where no number has."""

    def place(self, adapter: Adapter) -> Place:
        """Where `adapter` goes."""
        return self.places.get(adapter.ref.name, NOWHERE)

    def replicas(self, adapter: Adapter, seen: Seen) -> tuple[Replica, ...]:
        """The replicas that shall hold `adapter`."""
        pods = self.place(adapter).pods
        return tuple(replica for replica in seen.replicas if replica.pod in pods)


def lay_out(seen: Seen) -> Layout:
    """Give each adapter its replicas."""
    if seen.server is None:
        return Layout()
    wishes = {_wish(adapter, seen): adapter for adapter in seen.adapters if holds_name(adapter, seen)}
    slots = seen.server.spec.lora.max_cpu_loras
    found = place(wishes, {replica.pod: replica.routed for replica in seen.replicas}, slots)
    used = max(found.used.values(), default=0)
    if not found.missing:
        return Layout(found.places, slots, used, used)
    needed = slots_needed(frozenset(wishes), frozenset(found.used))
    holders = {
        pod: wishes[wish] for wish in sorted(wishes) for pod in found.places[wish.adapter].homes - wish.weightless
    }
    return Layout(found.places, slots, used, needed, holders, replicas_needed(wishes, slots))


def holds_name(adapter: Adapter, seen: Seen) -> bool:
    """Whether the adapter's main public name is its own."""
    return seen.holders.get(adapter.public_name) == adapter.ref


def _wish(adapter: Adapter, seen: Seen) -> Wish:
    weightless = frozenset(replica.pod for replica in seen.replicas if is_hopeless(adapter, replica))
    return Wish(adapter.order, adapter.ref.name, adapter.spec.replicas, weightless)
