"""Which faults at which effects: everything for `make faults`, a share of each kind for `make test`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorikeet.testing.campaign.effects import Effect
from lorikeet.testing.campaign.faults import Fault

MOST = {"list": 6, "update": 2}
"""Of these only the first few: an agent lists whenever it is unsure, and a lease is renewed for ever."""


ROADS = (
    ("tell", "create", "update", "apply"),
    ("resolve", "push"),
    ("load", "unload", "list"),
    ("fetch", "ask-hub"),
)
"""Operator to API server, operator to agents, agents to engines, agents to the hub: the verbs of each."""


@dataclass(frozen=True, order=True)
class Plan:
    """One fault at one effect."""

    effect: Effect
    fault: Fault

    def __str__(self) -> str:
        return f"{self.effect}:{self.fault}"

    @classmethod
    def parse(cls, text: str) -> Plan:
        """The inverse of str. Raises ValueError."""
        effect, _, fault = text.strip().rpartition(":")
        return cls(Effect.parse(effect), Fault(fault))


def every(effects: Iterable[Effect]) -> list[Plan]:
    """All faults at all effects."""
    numbered = [effect for effect in effects if effect.number <= MOST.get(effect.verb, effect.number)]
    return [Plan(effect, fault) for effect in numbered for fault in Fault]


def few(plans: Sequence[Plan]) -> list[Plan]:
    """One plan for each fault on each road, whose verbs take turns, and whose effects are spread over the life."""
    found = []
    for road in ROADS:
        for number, fault in enumerate(Fault):
            turn, verb = divmod(number, len(road))
            turns = -(-len(Fault) // len(road))
            struck = [plan for plan in plans if plan.effect.verb == road[verb] and plan.fault is fault]
            found += struck[(2 * turn + 1) * len(struck) // (2 * turns) :][:1]
    return found


def slowest_first(plans: Iterable[Plan]) -> list[Plan]:
    """Stalls wait for somebody's patience to end, deaths for a lease to run out: lived beside others, they cost least
    when they begin first."""
    order = [Fault.STALL, Fault.KILL_BEFORE, Fault.KILL_AFTER]
    return sorted(plans, key=lambda plan: order.index(plan.fault) if plan.fault in order else len(order))
