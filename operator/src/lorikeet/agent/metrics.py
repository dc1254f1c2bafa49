"""The agent's own metrics, as Prometheus text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from lorikeet.api.loraadapter import State
from lorikeet.api.wire import AgentState


def exposition(state: AgentState, outcomes: Mapping[tuple[str, str], int]) -> str:
    """`state` as the operator sees it, and how often each action ended how."""
    registry = CollectorRegistry()
    adapters = Gauge("lorikeet_agent_adapters", "Adapters on this replica by state.", ["state"], registry=registry)
    counted = Counter(row.state for row in state.adapters)
    for each in State:
        adapters.labels(each.value).set(counted[each])
    settled = Gauge("lorikeet_agent_settled", "1 when nothing wanted is still on its way.", registry=registry)
    settled.set(state.settled)
    actions = Gauge(
        "lorikeet_agent_actions", "Actions ended since the start.", ["action", "outcome"], registry=registry
    )
    for (verb, outcome), count in sorted(outcomes.items()):
        actions.labels(verb, outcome).set(count)
    return generate_latest(registry).decode()
