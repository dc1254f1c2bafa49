"""Values for tests: one good thing of each kind, changed where a test says so."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from lorikeet.api.loraadapter import LoRAAdapterSpec, LoRAAdapterStatus, ReplicaState, ServedVersion, State
from lorikeet.api.modelserver import ModelServerSpec, ModelServerStatus
from lorikeet.api.ref import API_VERSION, Ref, engine_name
from lorikeet.api.wire import AdapterState, AgentState, ModelState, Wanted
from lorikeet.controller.podspec import Installation, model_name
from lorikeet.controller.seen import Adapter, Replica, Seen, Server
from lorikeet.controller.workload import child_name, labels

NAMESPACE = "default"
SERVER = Ref(NAMESPACE, "qwen")
COMMIT_1, COMMIT_2 = "1" * 40, "2" * 40
OLD = "2026-01-01T00:00:00Z"
NOW = "2026-02-03T04:05:06Z"

Body = dict[str, Any]


def installation() -> Installation:
    """An installation with a root key of zeros."""
    images = {profile: f"engine:{profile.lower()}" for profile in ("Generic", "T4", "CPU")}
    return Installation(agent_image="lorikeet:test", engine_images=images, root_key=b"0" * 64)


def digest_of(uri: str) -> str:
    """The content digest that scripted agents give to what lies at `uri`."""
    return hashlib.sha256(uri.encode()).hexdigest()


def source_uri(name: str, commit: str = COMMIT_1) -> str:
    """A pinned source."""
    return f"hf://acme/{name}@{commit}"


def server(ref: Ref = SERVER, **spec: Any) -> Server:
    """A ModelServer of two replicas; `spec` in camelCase replaces parts of its spec."""
    body = {
        "model": {"uri": "hf://acme/base@main", "name": "base"},
        "replicas": 2,
        "engine": {"profile": "CPU"},
        **spec,
        "lora": {"maxRank": 16, **spec.get("lora", {})},
    }
    return Server(ref, f"uid-{ref.name}", 1, ModelServerSpec.parse(body), ModelServerStatus())


def adapter(name: str = "sql", /, *, created: str = OLD, told: LoRAAdapterStatus | None = None, **spec: Any) -> Adapter:
    """A LoRAAdapter of the server, its source pinned; `spec` in camelCase replaces parts of its spec."""
    body = {"modelServerRef": {"name": SERVER.name}, "source": {"uri": source_uri(name)}, **spec}
    parsed = LoRAAdapterSpec.parse(body)
    return Adapter(Ref(NAMESPACE, name), f"uid-{name}", 1, created, parsed, told or LoRAAdapterStatus())


def entry(name: str = "sql", commit: str = COMMIT_1, state: State = State.LOADED, **more: Any) -> AdapterState:
    """One version of an adapter on a replica."""
    uri = source_uri(name, commit)
    digest = "" if state is State.FETCHING else digest_of(uri)
    values = {
        "revision": commit,
        "digest": digest,
        "engine_name": engine_name(name, digest) if digest else "",
        "rank": 8,
        "bytes": 1000,
        "since": NOW,
        **more,
    }
    return AdapterState(adapter=name, uri=uri, state=state, **values)


def told(
    commit: str = COMMIT_1, name: str = "sql", rows: Iterable[tuple[str, str]] = (), **more: Any
) -> LoRAAdapterStatus:
    """A status that says the names mean the version of `commit`; `rows`: pod and commit of what is loaded."""
    version = entry(name, commit)
    latest = ServedVersion(uri=version.uri, digest=version.digest, engine_name=version.engine_name, since=NOW)
    replicas = tuple(
        ReplicaState(pod=pod, digest=entry(name, loaded).digest, state=State.LOADED) for pod, loaded in sorted(rows)
    )
    return LoRAAdapterStatus(engine_name=version.engine_name, history=(latest,), replicas=replicas, **more)


def agent_state(*entries: AdapterState, wanted: Wanted | None = None, **more: Any) -> AgentState:
    """What a healthy, settled agent says."""
    values: Body = {"engine": "Healthy", "settled": True, "boot": "boot-1", "model": ModelState(ready=True), **more}
    return AgentState(seq=1, life="life-1", adapters=entries, wanted=wanted.id if wanted else "", **values)


def replica(name: str = "a", *entries: AdapterState, **more: Any) -> Replica:
    """A ready replica that holds `entries`."""
    values: Body = {"ready": True, "state": agent_state(*entries), **more}
    return Replica(pod=name, uid=f"uid-{name}", ip="10.0.0.1", **values)


def seen(adapters: Sequence[Adapter], replicas: Sequence[Replica], of: Server | None = None) -> Seen:
    """A pass in which each adapter holds the names it claims, the first claim of a name winning, and answers to those
    that its status says."""
    found = of or server()
    holders: dict[str, Ref] = {model_name(found.spec): Ref("", f"ModelServer {found.ref.name}")}
    for each in sorted(adapters, key=lambda each: (each.created, each.uid)):
        for name in each.claims:
            holders.setdefault(name, each.ref)
    answering: dict[str, frozenset[Ref]] = {}
    for each in adapters:
        if any(row.state is State.LOADED for row in each.told.replicas):
            for name in each.told.names:
                answering[name] = answering.get(name, frozenset()) | {each.ref}
    return Seen(found.ref, found, tuple(adapters), tuple(replicas), holders=holders, answering=answering)


def server_body(ref: Ref = SERVER, **spec: Any) -> Body:
    """A ModelServer as a user applies it."""
    return _body(
        "ModelServer",
        ref,
        {"model": {"uri": "hf://acme/base@main", "name": "base"}, "replicas": 2, "engine": {"profile": "CPU"}, **spec},
    )


def adapter_body(ref: Ref, of: str = SERVER.name, **spec: Any) -> Body:
    """A LoRAAdapter as a user applies it."""
    return _body("LoRAAdapter", ref, {"modelServerRef": {"name": of}, "source": {"uri": source_uri(ref.name)}, **spec})


def pod_body(of: Ref, name: str) -> Body:
    """A pod as the server's Deployment makes it, without what only a kubelet needs."""
    owner = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "name": f"{child_name(of)}-1",
        "uid": "1",
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": of.namespace, "name": name, "labels": labels(of), "ownerReferences": [owner]},
        "spec": {"containers": [{"name": "engine", "image": "engine:test"}]},
    }


def ready_status(ip: str, ready: bool = True) -> Body:
    """A pod's status as a kubelet writes it."""
    condition = {"type": "Ready", "status": "True" if ready else "False"}
    return {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition]}


def _body(kind: str, ref: Ref, spec: Body) -> Body:
    meta = {"namespace": ref.namespace, "name": ref.name}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": meta, "spec": spec}
