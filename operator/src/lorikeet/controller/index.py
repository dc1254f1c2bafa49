"""The operator's picture of the objects: our own dicts, fed by watches and now and then by a full list.

`kopf.index` is quadratic at start and keeps ghosts after a broken watch; a full list here is one assignment, and what
happened while the list was under way is neither lost nor undone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from lorikeet.api.names import default_model_name
from lorikeet.api.ref import Ref
from lorikeet.controller.names import Claim, holders
from lorikeet.controller.workload import SERVER_LABEL
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, PODS, SERVICES, Resource
from lorikeet.kube.watch import ref_of

Body = dict[str, Any]
WATCHED = (MODELSERVERS, LORAADAPTERS, PODS, DEPLOYMENTS, SERVICES)
LABELLED = (PODS, DEPLOYMENTS, SERVICES)
"""Kinds of which only those of some server are followed."""


class Index:
    """Objects by kind and identity, and which server each belongs to."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Ref, Body]] = {resource: {} for resource in WATCHED}
        self._of: dict[Resource, dict[Ref, dict[Ref, None]]] = {resource: defaultdict(dict) for resource in WATCHED}
        self._removed: dict[tuple[Resource, Ref], int] = {}
        self._claims: dict[str, dict[Ref, tuple[Claim, ...]]] = defaultdict(dict)
        self._holders: dict[str, dict[str, Ref]] = {}

    def servers(self) -> set[Ref]:
        """Every server there is, or that some adapter or pod names."""
        return {ref for by_server in self._of.values() for ref, members in by_server.items() if members}

    def get(self, resource: Resource, ref: Ref) -> Body | None:
        """One object, or None."""
        return self._objects[resource].get(ref)

    def of(self, resource: Resource, server: Ref) -> Iterator[Body]:
        """The objects of `server`, by name."""
        return (self._objects[resource][ref] for ref in sorted(self._of[resource].get(server, ())))

    def holders(self, namespace: str) -> dict[str, Ref]:
        """Public name → who holds it in `namespace`."""
        if namespace not in self._holders:
            claims = (claim for held in self._claims[namespace].values() for claim in held)
            self._holders[namespace] = holders(claims)
        return self._holders[namespace]

    def put(self, resource: Resource, body: Body) -> set[Ref]:
        """Take in an object unless a newer one is here. Returns the servers whose pass this concerns."""
        ref = ref_of(body)
        known = self._objects[resource].get(ref)
        if known is not None and version(known) >= version(body):
            return set()
        if self._removed.get((resource, ref), -1) >= version(body):
            return set()
        touched = self._forget(resource, ref)
        self._objects[resource][ref] = body
        if server := server_of(resource, body):
            self._of[resource][server][ref] = None
            touched.add(server)
        return touched | self._reclaim(resource, ref, body)

    def remove(self, resource: Resource, ref: Ref, at: int) -> set[Ref]:
        """Forget an object that was deleted at version `at`. Returns the servers whose pass this concerns."""
        self._removed[resource, ref] = at
        known = self._objects[resource].get(ref)
        if known is None or version(known) > at:
            return set()
        return self._forget(resource, ref) | self._reclaim(resource, ref, None)

    def replace(self, resource: Resource, bodies: Iterable[Body], at: int) -> set[Ref]:
        """Take in a full list as of version `at`: what is older and not in it is gone."""
        listed = {ref_of(body): body for body in bodies}
        touched: set[Ref] = set()
        for ref, known in list(self._objects[resource].items()):
            if ref not in listed and version(known) <= at:
                touched |= self.remove(resource, ref, at)
        for body in listed.values():
            touched |= self.put(resource, body)
        self._removed = {key: gone for key, gone in self._removed.items() if key[0] != resource or gone > at}
        return touched

    def _forget(self, resource: Resource, ref: Ref) -> set[Ref]:
        known = self._objects[resource].pop(ref, None)
        server = server_of(resource, known) if known else None
        if server is None:
            return set()
        self._of[resource][server].pop(ref, None)
        if not self._of[resource][server]:
            del self._of[resource][server]
        return {server}

    def _reclaim(self, resource: Resource, ref: Ref, body: Body | None) -> set[Ref]:
        """Keep the claims on names; where they changed, every adapter of the namespace may gain or lose one."""
        if resource not in (MODELSERVERS, LORAADAPTERS):
            return set()
        key = Ref(resource.kind, ref.name)
        claims = claims_of(resource, body) if body else ()
        if self._claims[ref.namespace].get(key, ()) == claims:
            return set()
        self._claims[ref.namespace][key] = claims
        if not claims:
            del self._claims[ref.namespace][key]
        before = self._holders.pop(ref.namespace, {})
        after = self.holders(ref.namespace)
        moved = {before[name] for name in before if before[name] != after.get(name)}
        moved |= {after[name] for name in after if before.get(name) != after[name]}
        return {server for held in moved if (server := self._server_of_adapter(held))}

    def _server_of_adapter(self, ref: Ref) -> Ref | None:
        body = self._objects[LORAADAPTERS].get(ref)
        return server_of(LORAADAPTERS, body) if body else None


def version(body: Body) -> int:
    """resourceVersions are comparable numbers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def server_of(resource: Resource, body: Body) -> Ref | None:
    """The server an object belongs to, by what the object itself says."""
    ref = ref_of(body)
    if resource == MODELSERVERS:
        return ref
    if resource == LORAADAPTERS:
        return Ref(ref.namespace, body["spec"]["modelServerRef"]["name"])
    name = body["metadata"].get("labels", {}).get(SERVER_LABEL)
    return Ref(ref.namespace, name) if name else None


def claims_of(resource: Resource, body: Body) -> tuple[Claim, ...]:
    """The public names an object asks for."""
    meta, spec, ref = body["metadata"], body["spec"], ref_of(body)
    if resource == MODELSERVERS:
        rank, names = 0, [spec["model"].get("name") or default_model_name(spec["model"]["uri"])]
        ref = Ref("", f"ModelServer {ref.name}")
    else:
        rank, names = 1, [spec.get("name") or meta["name"], *spec.get("aliases", ())]
    created = meta.get("creationTimestamp", "")
    return tuple(Claim(rank, created, meta.get("uid", ""), ref, name) for name in names)
