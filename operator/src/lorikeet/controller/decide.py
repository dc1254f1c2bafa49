"""From what is seen to what shall be done. Pure: no I/O, no clock; deciding on the result of a plan gives no plan."""

from __future__ import annotations

from collections.abc import Iterator

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.controller.actions import Action, Apply, Plan, Push, Resolve
from lorikeet.controller.layout import Layout
from lorikeet.controller.podspec import Installation
from lorikeet.controller.ranks import with_rank
from lorikeet.controller.seen import Adapter, Seen
from lorikeet.controller.workload import children, spec_problem


def decide(seen: Seen, layout: Layout, installation: Installation) -> Plan:
    """What to do now. `installation` says how this installation renders engine pods."""
    if seen.server is None:
        return Plan()
    return Plan((*_applies(seen, layout, installation), *_resolves(seen), *_pushes(seen, layout)))


def is_gone(adapter: Adapter, seen: Seen) -> bool:
    """Whether a branch's or tag's pinned revision is no longer at its source: then the source is resolved anew."""
    uri, name = adapter.pinned_uri, adapter.ref.name
    if uri == adapter.spec.source.uri:
        return False
    entries = (entry for replica in seen.holding(name) for entry in replica.holds(name) if entry.uri == uri)
    return any(entry.state is State.FAILED and entry.reason is Reason.REVISION_NOT_FOUND for entry in entries)


def _applies(seen: Seen, layout: Layout, installation: Installation) -> Iterator[Action]:
    server = seen.server
    assert server is not None
    if spec_problem(server.spec):
        return
    for child in children(with_rank(server, layout.max_rank), installation):
        if server.rendered.get(child.resource.kind) != child.fingerprint:
            yield Apply(child.resource, child.ref, child.body)


def _resolves(seen: Seen) -> Iterator[Action]:
    for adapter in seen.adapters:
        if (adapter.pin is None or is_gone(adapter, seen)) and not adapter.asking:
            source = adapter.spec.source
            yield Resolve(adapter.ref, adapter.uid, source.uri, source.credentials_key)


def _pushes(seen: Seen, layout: Layout) -> Iterator[Action]:
    for replica in seen.replicas:
        if replica.state is None:
            continue
        wanted = layout.wanted(replica.pod)
        if replica.state.wanted != wanted.id:
            yield Push(replica.pod, wanted)
