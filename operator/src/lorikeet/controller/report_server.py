"""What a ModelServer's status shall say. Pure."""

from __future__ import annotations

from lorikeet.api.conditions import Kind, Problem, Reason
from lorikeet.api.modelserver import AdapterCount, Endpoint, ModelServerSpec, ModelServerStatus, Slots
from lorikeet.api.wire import ENGINE_PORT
from lorikeet.controller.carry_out import Done
from lorikeet.controller.conditions import Finding, no, written, yes
from lorikeet.controller.layout import Layout
from lorikeet.controller.podspec import model_name
from lorikeet.controller.seen import Replica, Seen, Server
from lorikeet.controller.workload import selector, spec_problem

NOT_HEALTHY = {
    "Starting": "is starting",
    "Unreachable": "does not answer",
    "Hung": "hangs: requests wait for it and no token comes; the kubelet restarts it",
}


def server_status(
    server: Server, seen: Seen, layout: Layout, ready_adapters: int, done: Done, now: str
) -> ModelServerStatus:
    """The whole status; `done` is what came of this pass."""
    spec = server.spec
    revisions = {replica.state.model.revision for replica in seen.replicas if replica.state}
    return ModelServerStatus(
        observed_generation=server.generation,
        replicas=len(seen.replicas),
        ready_replicas=sum(replica.routed for replica in seen.replicas),
        selector=selector(server.ref),
        model_name=model_name(spec),
        model_revision=min(revisions - {""}, default=""),
        conditions=written(_findings(server, seen, layout, done), server.told.conditions, server.generation, now),
        endpoints=tuple(_endpoint(replica) for replica in seen.replicas if replica.ip),
        adapters=AdapterCount(wanted=len(seen.adapters), ready=ready_adapters),
        slots=_slots(spec, seen, layout),
    )


def _slots(spec: ModelServerSpec, seen: Seen, layout: Layout) -> Slots:
    width = max((replica.state.model.lora_width for replica in seen.replicas if replica.state), default=0)
    number = 4 if spec.engine.dtype == "float32" else 2
    return Slots(
        gpu=spec.lora.max_loras,
        rank=layout.max_rank,
        bytes=spec.lora.max_loras * layout.max_rank * width * number,
        memory=layout.slots,
        used=layout.used,
        wanted=layout.needed,
    )


def _endpoint(replica: Replica) -> Endpoint:
    host = f"[{replica.ip}]" if ":" in replica.ip else replica.ip
    boot = replica.state.boot if replica.state else ""
    return Endpoint(pod=replica.pod, address=f"{host}:{ENGINE_PORT}", boot=boot, ready=replica.routed)


def _findings(server: Server, seen: Seen, layout: Layout, done: Done) -> list[Finding]:
    ready = sum(replica.routed for replica in seen.replicas)
    wanted = server.spec.replicas
    count = f"{ready} of {wanted} replicas of server {server.ref.name} take requests"
    trouble = _trouble(server, seen, layout, done)
    if wanted == 0:
        zero = f"server {server.ref.name} is scaled to zero: raise spec.replicas"
        available = no(Kind.AVAILABLE, Reason.SCALED_TO_ZERO, zero)
    elif ready:
        available = yes(Kind.AVAILABLE, Reason.REPLICAS_READY, count)
    else:
        available = no(Kind.AVAILABLE, trouble.reason, f"{count}: {trouble.message}")
    rolled_out = not done.applied and all(replica.current for replica in seen.replicas)
    settled = rolled_out and ready == wanted == len(seen.replicas)
    if settled:
        progressing = no(Kind.PROGRESSING, Reason.COMPLETE, count)
    else:
        progressing = yes(Kind.PROGRESSING, trouble.reason, f"{count}: {trouble.message}")
    whole = settled and wanted > 0 and trouble.reason is not Reason.INVALID_SPEC
    if whole:
        headline = yes(Kind.READY, Reason.READY, count)
    else:
        source = available if available.status == "False" else progressing
        headline = no(Kind.READY, source.reason, source.message)
    return [headline, available, progressing]


def _trouble(server: Server, seen: Seen, layout: Layout, done: Done) -> Problem:
    """The most telling reason why not all replicas serve."""
    if wrong := spec_problem(server.spec):
        return Problem(reason=Reason.INVALID_SPEC, message=wrong)
    for action, why in done.failed:
        return Problem(reason=Reason.REPLICAS_UNAVAILABLE, message=f"cannot {action}: {why}")
    for replica in seen.replicas:
        if replica.problem:
            return replica.problem
    for replica in seen.replicas:
        if replica.state and not replica.state.model.ready and replica.state.model.reason:
            return Problem(reason=replica.state.model.reason, message=replica.state.model.message)
    waiting = [_waiting(replica) for replica in seen.replicas if not (replica.routed and replica.current)]
    if any(0 < replica.max_rank < layout.max_rank for replica in seen.replicas):
        waiting.append(f"adapters need maxRank {layout.max_rank}")
    return Problem(reason=Reason.ROLLING_OUT, message="; ".join(waiting) or "pods are being made")


def _waiting(replica: Replica) -> str:
    if replica.routed:
        return f"{replica.pod} is of the old template and is replaced in its turn"
    if replica.state is None:
        return f"{replica.pod} is starting"
    if not replica.state.model.ready:
        return f"{replica.pod} fetches the base model"
    if replica.state.engine != "Healthy":
        return f"{replica.pod}'s engine {NOT_HEALTHY[replica.state.engine]}"
    if not replica.state.settled:
        return f"{replica.pod} loads its adapters"
    return f"{replica.pod} is about to be ready"
