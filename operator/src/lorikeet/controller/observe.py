"""Gather what one pass needs. The only place that looks."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from lorikeet.api.loraadapter import LoRAAdapterSpec, LoRAAdapterStatus
from lorikeet.api.modelserver import ModelServerSpec, ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.controller import pods
from lorikeet.controller.links import Address, agent_url
from lorikeet.controller.resolver import key_of
from lorikeet.controller.seen import Adapter, Replica, Seen, Server
from lorikeet.controller.workload import FINGERPRINT, MAX_RANK
from lorikeet.controller.world import Lines, World
from lorikeet.kube.resource import BUDGETS, DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, PODS, SECRETS, SERVICES
from lorikeet.kube.watch import ref_of

log = logging.getLogger(__name__)
Body = dict[str, Any]


def observe(ref: Ref, world: World) -> Seen:
    """The facts about server `ref`: objects from the index, replicas from their agents' lines."""
    lines = world.lines[ref]
    server = _server(ref, world, lines)
    holders, answering = world.index.holders(ref.namespace), world.index.answering(ref.namespace)
    adapters = tuple(_adapters(ref, holders, world, lines))
    lines.resolver.keep_only(_key(adapter) for adapter in adapters)
    lines.lingering.keep_only(adapter.uid for adapter in adapters)
    replicas = _replicas(ref, server, world, lines)
    unread = frozenset(_names(ref, world) - {adapter.ref.name for adapter in adapters})
    return Seen(ref, server, adapters, replicas, unread, holders, answering)


def _server(ref: Ref, world: World, lines: Lines) -> Server | None:
    body = world.index.get(MODELSERVERS, ref)
    if body is None or "deletionTimestamp" in body["metadata"]:
        return None
    try:
        spec = ModelServerSpec.parse(body["spec"])
        told = ModelServerStatus.parse(body.get("status", {}))
    except ValidationError as error:
        log.warning("server %s cannot be read and is left alone: %s", ref, error)
        return None
    meta = body["metadata"]
    rendered = _rendered(ref, world)
    if SECRETS.kind in lines.applied:
        rendered[SECRETS.kind] = lines.applied[SECRETS.kind]
    rank = max((_rank(child) for child in world.index.of(DEPLOYMENTS, ref)), default=0)
    return Server(ref, meta["uid"], meta["generation"], spec, told, rendered, rank)


def _rendered(ref: Ref, world: World) -> dict[str, str]:
    return {
        resource.kind: _fingerprint(child)
        for resource in (DEPLOYMENTS, SERVICES, BUDGETS)
        for child in world.index.of(resource, ref)
    }


def _names(ref: Ref, world: World) -> set[str]:
    """The adapters that nobody is deleting."""
    metas = (body["metadata"] for body in world.index.of(LORAADAPTERS, ref))
    return {meta["name"] for meta in metas if "deletionTimestamp" not in meta}


def _adapters(ref: Ref, holders: Mapping[str, Ref], world: World, lines: Lines) -> Iterator[Adapter]:
    """What was read of an object is kept until there is another body: to read thousands again is most of a pass."""
    before, lines.read = lines.read, {}
    for body in world.index.of(LORAADAPTERS, ref):
        if "deletionTimestamp" in body["metadata"]:
            continue
        known, adapter = before.get(name := body["metadata"]["name"], (None, None))
        adapter = adapter if known is body else _read(body)
        if adapter is not None:
            adapter = _now(adapter, holders, lines)
            yield adapter
        lines.read[name] = body, adapter


def _read(body: Body) -> Adapter | None:
    """What the object says; None where it cannot be read."""
    meta, ref = body["metadata"], ref_of(body)
    try:
        spec = LoRAAdapterSpec.parse(body["spec"])
        told = LoRAAdapterStatus.parse(body.get("status", {}))
    except ValidationError as error:
        log.warning("adapter %s cannot be read and is left alone: %s", ref, error)
        return None
    return Adapter(ref, meta["uid"], meta["generation"], meta["creationTimestamp"], spec, told)


def _now(adapter: Adapter, holders: Mapping[str, Ref], lines: Lines) -> Adapter:
    """With what is known of it besides its object; the same value where nothing of that is new."""
    key, resolver = _key(adapter), lines.resolver
    given_up = {name for name in set(adapter.told.names) - set(adapter.claims) if name not in holders}
    lingering = lines.lingering.still(adapter.uid, given_up)
    news = resolver.answer(key), resolver.asking(key), lingering
    if news == (adapter.answer, adapter.asking, adapter.lingering):
        return adapter
    answer, asking, lingering = news
    return replace(adapter, answer=answer, asking=asking, lingering=lingering)


def _key(adapter: Adapter) -> tuple[str, str, str | None]:
    return key_of(adapter.uid, adapter.spec.source.uri, adapter.spec.source.credentials_key)


def _replicas(ref: Ref, server: Server | None, world: World, lines: Lines) -> tuple[Replica, ...]:
    found = [pod for pod in world.index.of(PODS, ref) if pods.is_ours(pod, ref) and not pods.is_over(pod)]
    if server is None:
        lines.keep_only({})
        return ()
    token = world.agent_token(ref, server.uid)
    lines.keep_only(
        {
            (name := pod["metadata"]["name"]): Address(name, pod["metadata"]["uid"], agent_url(ip), token)
            for pod in found
            if (ip := pod["status"].get("podIP"))
        }
    )
    template: Body = next((child["spec"]["template"] for child in world.index.of(DEPLOYMENTS, ref)), {})
    return tuple(_replica(pod, _fingerprint(pod) == _fingerprint(template), lines) for pod in found)


def _fingerprint(body: Body) -> str:
    """What we rendered, as a pod or a pod template shows it."""
    return str(body.get("metadata", {}).get("annotations", {}).get(FINGERPRINT, ""))


def _rank(body: Body) -> int:
    """What a Deployment's or a pod's engines were started for; 0 where it does not say."""
    said = str(body["metadata"].get("annotations", {}).get(MAX_RANK, ""))
    return int(said) if said.isdigit() else 0


def _replica(pod: Body, current: bool, lines: Lines) -> Replica:
    name = pod["metadata"]["name"]
    link = lines.link(name)
    return Replica(
        pod=name,
        uid=pod["metadata"]["uid"],
        ip=pod["status"].get("podIP", ""),
        ready=pods.is_ready(pod),
        state=link.state if link else None,
        last=link.last if link else None,
        asked=link.asked if link else True,
        current=current,
        max_rank=_rank(pod),
        problem=pods.problem_of(pod),
    )
