"""Whether an adapter has its slots, and what to change where it has not. Pure."""

from __future__ import annotations

from lorikeet.api.conditions import Kind, Reason
from lorikeet.controller.conditions import Finding, no, unknown, yes
from lorikeet.controller.layout import Layout
from lorikeet.controller.rights import names_of
from lorikeet.controller.seen import Adapter, Seen


def placed(adapter: Adapter, seen: Seen, layout: Layout) -> Finding:
    """The condition Placed."""
    name, server, place = adapter.ref.name, adapter.spec.model_server_ref.name, layout.place(adapter)
    if not names_of(adapter, seen):
        return unknown(Kind.PLACED, Reason.NAME_CONFLICT, "it has no name to answer to")
    if adapter.spec.replicas == 0:
        return no(Kind.PLACED, Reason.SCALED_TO_ZERO, f"adapter {name} asks for no replica: raise its spec.replicas")
    if not seen.replicas:
        return unknown(Kind.PLACED, Reason.NO_REPLICAS, f"server {server} has no replica: see its status")
    if place.missing == 0:
        return yes(Kind.PLACED, Reason.PLACED, f"{len(place.homes)} replicas have a slot for it")
    expected = seen.server.spec.replicas if seen.server else 0
    if len(seen.replicas) < expected:
        text = (
            f"adapter {name} waits for a slot: {len(seen.replicas)} of {expected} replicas of server {server} are there"
        )
        return unknown(Kind.PLACED, Reason.ROLLING_OUT, text)
    return no(Kind.PLACED, Reason.NO_CAPACITY, _lack(adapter, seen, layout))


def _lack(adapter: Adapter, seen: Seen, layout: Layout) -> str:
    place, server = layout.place(adapter), adapter.spec.model_server_ref.name
    wanted = len(place.homes) + place.missing
    last = max((layout.holders[pod] for pod in layout.holders.keys() - place.homes), key=lambda one: one.order)
    steps = [f"raise spec.lora.maxCpuLoras of server {server} to {layout.needed}"]
    if adapter.spec.replicas is not None and layout.enough and layout.enough > len(seen.replicas):
        steps.append(f"its spec.replicas to {layout.enough}")
    steps.append(f"this adapter's spec.priority above {last.spec.priority}, that of {last.ref.name}")
    return (
        f"adapter {adapter.ref.name} lacks {place.missing} of {wanted} slots: each replica has {layout.slots}, and "
        f"adapters of higher priority, or older, hold them; {', or '.join(steps)}"
    )
