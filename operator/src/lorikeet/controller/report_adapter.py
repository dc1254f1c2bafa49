"""What a LoRAAdapter's status shall say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from lorikeet.api.conditions import Kind, Problem, Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, ReplicaState, State
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import AdapterState
from lorikeet.controller.capacity import placed
from lorikeet.controller.conditions import Finding, no, ready_from, unknown, written, yes
from lorikeet.controller.layout import Layout
from lorikeet.controller.ranks import is_raised_for
from lorikeet.controller.rights import named, names_of, told_names
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import history, loaded, served, wanted_entry

INCOMPATIBLE = frozenset({Reason.RANK_TOO_HIGH, Reason.WRONG_BASE_MODEL, Reason.UNSUPPORTED_ADAPTER, Reason.NO_EFFECT})
SHOWN = frozenset({State.LOADED, State.DRAINING})
"""States in which one that is not wanted there is worth a row."""
UNLOADABLE = frozenset({Reason.LOAD_FAILED, Reason.LOAD_TIMEOUT, Reason.ENGINE_UNAVAILABLE})


def adapter_status(adapter: Adapter, seen: Seen, layout: Layout, now: str) -> LoRAAdapterStatus:
    """The whole status, from facts alone but for transition times."""
    where = layout.replicas(adapter, seen)
    version = served(adapter, seen.holding(adapter.ref.name), where) if names_of(adapter, seen) else None
    rows = () if adapter.undetermined else tuple(_rows(adapter, seen.holding(adapter.ref.name), layout))
    entry = next((entry for replica in where if (entry := wanted_entry(adapter, replica))), None)
    facts = version or entry
    answers = _answers(rows, seen, version.digest if version else "")
    findings = _findings(adapter, seen, layout, answers)
    return LoRAAdapterStatus(
        observed_generation=adapter.generation,
        conditions=written(findings, adapter.told.conditions, adapter.generation, now),
        pin=adapter.pin,
        revision=adapter.pin.revision if adapter.pin else "",
        digest=version.digest if version else "",
        engine_name=version.engine_name if version else "",
        history=history(adapter, version, now),
        names=told_names(adapter, seen, serves=bool(answers)),
        rank=facts.rank if facts else 0,
        bytes=facts.bytes if facts else 0,
        desired_replicas=_desired(adapter, seen),
        ready_replicas=len(answers),
        replicas=rows,
    )


def _findings(adapter: Adapter, seen: Seen, layout: Layout, answers: Mapping[str, str]) -> list[Finding]:
    where = layout.replicas(adapter, seen)
    entries = [entry for replica in where if (entry := wanted_entry(adapter, replica))]
    failed = next((entry for entry in entries if entry.state is State.FAILED), None)
    raised = _raised(adapter, failed, layout) if failed and is_raised_for(failed, seen) else None
    has_slots = placed(adapter, seen, layout)
    steps = [
        named(adapter, seen),
        _resolved(adapter, seen),
        _staged(adapter, where, entries, failed) if raised is None else replace(raised, kind=Kind.STAGED),
        raised or _compatible(entries, failed),
        has_slots,
        _loaded(adapter, where, None if raised else failed, has_slots),
    ]
    everywhere = steps[-1].message
    ready = _alone(adapter, seen) or ready_from(steps, yes(Kind.READY, Reason.READY, everywhere))
    if ready.status != "True":
        ready = replace(ready, message=ready.message + _meanwhile(adapter, entries, answers))
    return [ready, *steps]


def _meanwhile(adapter: Adapter, entries: Sequence[AdapterState], answers: Mapping[str, str]) -> str:
    """Which other versions answer while the wanted one cannot."""
    wanted = {entry.digest for entry in entries}
    others = sorted({engine_name(adapter.ref.name, digest) for digest in answers.values()})
    if not set(answers.values()) - wanted:
        return ""
    return f"; version {others[0]} still answers" if len(others) == 1 else f"; versions {' and '.join(others)} answer"


def _alone(adapter: Adapter, seen: Seen) -> Finding | None:
    """That there is no server, whatever else there is."""
    if seen.server is not None:
        return None
    server = adapter.spec.model_server_ref.name
    text = (
        f"adapter {adapter.ref.name} names server {server}, which is not in namespace {adapter.ref.namespace}: "
        "create it or name another in spec.modelServerRef"
    )
    return no(Kind.READY, Reason.SERVER_NOT_FOUND, text)


def _resolved(adapter: Adapter, seen: Seen) -> Finding:
    uri = adapter.spec.source.uri
    if adapter.pin:
        return yes(Kind.RESOLVED, Reason.RESOLVED, f"{uri} is revision {adapter.pin.revision}")
    if isinstance(adapter.answer, Problem) and adapter.answer.reason is not Reason.AGENT_UNREACHABLE:
        return no(Kind.RESOLVED, adapter.answer.reason, adapter.answer.message)
    if not any(replica.state for replica in seen.replicas):
        text = f"no replica of server {seen.ref.name} answers yet, so {uri} is still to be resolved"
        return unknown(Kind.RESOLVED, Reason.WAITING_FOR_ENGINE, text)
    return unknown(Kind.RESOLVED, Reason.RESOLVING, f"asking which revision {uri} means")


def _staged(
    adapter: Adapter, where: Sequence[Replica], entries: Sequence[AdapterState], failed: AdapterState | None
) -> Finding:
    if failed and not failed.digest and failed.reason and failed.reason not in INCOMPATIBLE | UNLOADABLE:
        return no(Kind.STAGED, failed.reason, failed.message)
    there = sum(bool(entry.digest) for entry in entries)
    text = f"{there} of {len(where)} replicas have the bytes of {adapter.pinned_uri or adapter.spec.source.uri}"
    if where and there == len(where):
        return yes(Kind.STAGED, Reason.STAGED, text)
    reason = Reason.FETCHING if where else Reason.NO_REPLICAS
    return unknown(Kind.STAGED, reason, text)


def _raised(adapter: Adapter, failed: AdapterState, layout: Layout) -> Finding:
    """With maxRank Auto a high rank is no failure."""
    server = adapter.spec.model_server_ref.name
    text = (
        f"adapter {adapter.ref.name} has rank {failed.rank}: the replicas of server {server} are replaced one at a "
        f"time, with maxRank {layout.max_rank}: see kubectl describe modelserver {server}"
    )
    return unknown(Kind.COMPATIBLE, Reason.ROLLING_OUT, text)


def _compatible(entries: Sequence[AdapterState], failed: AdapterState | None) -> Finding:
    if failed and failed.reason in INCOMPATIBLE:
        return no(Kind.COMPATIBLE, failed.reason, failed.message)
    fine = [entry for entry in entries if entry.digest and entry.state is not State.FAILED]
    if fine or (failed and failed.reason in UNLOADABLE):
        return yes(Kind.COMPATIBLE, Reason.COMPATIBLE, f"a LoRA of rank {max(entry.rank for entry in entries)}")
    return unknown(Kind.COMPATIBLE, Reason.CHECKING, "known once a replica has the bytes")


def _loaded(adapter: Adapter, where: Sequence[Replica], failed: AdapterState | None, has_slots: Finding) -> Finding:
    """True when every replica that takes requests has the wanted version, and there is one."""
    server = adapter.spec.model_server_ref.name
    uri = adapter.pinned_uri
    routed = [replica for replica in where if replica.routed]
    has = [replica for replica in routed if any(entry.uri == uri for entry in loaded(adapter, replica))]
    text = f"{len(has)} of {len(where)} replicas serve revision {adapter.pin.revision[:12] if adapter.pin else '?'}"
    if has and len(has) == len(routed):
        return yes(Kind.LOADED, Reason.LOADED, text)
    if failed and failed.reason:
        return no(Kind.LOADED, failed.reason, failed.message)
    if not where:
        return no(Kind.LOADED, has_slots.reason, has_slots.message)
    if not routed:
        text = f"no replica of server {server} takes requests yet: see kubectl describe modelserver {server}"
        return no(Kind.LOADED, Reason.WAITING_FOR_ENGINE, text)
    return no(Kind.LOADED, Reason.LOADING, text)


def _desired(adapter: Adapter, seen: Seen) -> int:
    there = seen.server.spec.replicas if seen.server else 0
    return there if adapter.spec.replicas is None else min(adapter.spec.replicas, there)


def _rows(adapter: Adapter, replicas: Sequence[Replica], layout: Layout) -> Iterator[ReplicaState]:
    """Each version on each replica, but for those that are only kept on disk.

    What is loaded and shall not stay is draining from now on, so that gateways leave it before it goes.
    """
    wanted, homes = adapter.pinned_uri, layout.place(adapter).pods
    for replica in replicas:
        rows: dict[str, ReplicaState] = {}
        for entry in replica.holds(adapter.ref.name):
            stays = entry.state is not State.LOADED or entry.uri in layout.loads(adapter, replica.pod)
            state = entry.state if stays else State.DRAINING
            if not (entry.uri == wanted and replica.pod in homes) and state not in SHOWN:
                continue
            row = ReplicaState(
                pod=replica.pod, digest=entry.digest, state=state, message=entry.message, since=entry.since
            )
            if row.digest not in rows or state is State.LOADED:
                rows[row.digest] = row
        yield from (rows[digest] for digest in sorted(rows))


def _answers(rows: Sequence[ReplicaState], seen: Seen, meant: str) -> Mapping[str, str]:
    """Pod → digest of the version it answers with: the one that is `meant`, where it has that."""
    routed = {replica.pod for replica in seen.replicas if replica.routed}
    there = [row for row in rows if row.state is State.LOADED and row.pod in routed]
    return {row.pod: row.digest for row in sorted(there, key=lambda row: (row.digest == meant, row.digest))}
