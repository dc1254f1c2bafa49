"""From what is seen to what shall be done. Pure: no I/O, no clock; deciding on the result of a plan gives no plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.controller.actions import Action, Apply, Plan, Push, Resolve
from lorikeet.controller.placement import place
from lorikeet.controller.podspec import Installation
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import kept_uris, pinned_uri
from lorikeet.controller.workload import children, spec_problem


def decide(seen: Seen, installation: Installation) -> Plan:
    """What to do now. `installation` says how this installation renders engine pods."""
    if seen.server is None:
        return Plan()
    return Plan((*_applies(seen, installation), *_resolves(seen), *_pushes(seen)))


def places(adapter: Adapter, seen: Seen) -> tuple[Replica, ...]:
    """The replicas that shall hold `adapter`; none where another object holds its name."""
    if not holds_name(adapter, seen):
        return ()
    pods = place(adapter.ref.name, adapter.spec.replicas, (replica.pod for replica in seen.replicas))
    return tuple(replica for replica in seen.replicas if replica.pod in pods)


def holds_name(adapter: Adapter, seen: Seen) -> bool:
    """Whether the adapter's main public name is its own."""
    return seen.holders.get(adapter.public_name) == adapter.ref


def is_gone(adapter: Adapter, seen: Seen) -> bool:
    """Whether a branch's or tag's pinned revision is no longer at its source: then the source is resolved anew."""
    uri = pinned_uri(adapter)
    entries = (entry for replica in seen.replicas for entry in replica.holds(adapter.ref.name) if entry.uri == uri)
    lost = any(entry.state is State.FAILED and entry.reason is Reason.REVISION_NOT_FOUND for entry in entries)
    return lost and uri != adapter.spec.source.uri


def _applies(seen: Seen, installation: Installation) -> Iterator[Action]:
    server = seen.server
    assert server is not None
    if spec_problem(server.spec):
        return
    for child in children(server, installation):
        if server.rendered.get(child.resource.kind) != child.fingerprint:
            yield Apply(child.resource, child.ref, child.body)


def _resolves(seen: Seen) -> Iterator[Action]:
    for adapter in seen.adapters:
        if (adapter.pin is None or is_gone(adapter, seen)) and not adapter.asking:
            source = adapter.spec.source
            yield Resolve(adapter.ref, adapter.uid, source.uri, source.credentials_key)


def _pushes(seen: Seen) -> Iterator[Action]:
    where = {adapter.ref: places(adapter, seen) for adapter in seen.adapters}
    for replica in seen.replicas:
        if replica.state is None:
            continue
        entries = [entry for adapter in seen.adapters for entry in _entries(adapter, replica, where[adapter.ref])]
        wanted = Wanted(adapters=tuple(entries))
        if replica.state.wanted != wanted.id:
            yield Push(replica.pod, wanted)


def _entries(adapter: Adapter, replica: Replica, where: Sequence[Replica]) -> Iterator[WantedAdapter]:
    source = adapter.spec.source
    kept = kept_uris(adapter, replica, where) if where else ()
    uri = pinned_uri(adapter)
    if uri and replica in where:
        yield WantedAdapter(
            adapter=adapter.ref.name, uri=uri, credentials_key=source.credentials_key, sha256=source.sha256
        )
    for old in kept:
        yield WantedAdapter(adapter=adapter.ref.name, uri=old)
