"""The operator's picture of the objects: our own dicts, fed by watches and now and then by a full list.

`kopf.index` is quadratic at start and keeps ghosts after a broken watch; a full list here is one assignment, and what
happened while the list was under way is neither lost nor undone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from lorikeet.api.loraadapter import State
from lorikeet.api.names import default_model_name
from lorikeet.api.ref import Ref
from lorikeet.controller.names import Claim, Names
from lorikeet.controller.workload import SERVER_LABEL
from lorikeet.kube.resource import BUDGETS, DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, PODS, SERVICES, Resource
from lorikeet.kube.watch import ref_of

Body = dict[str, Any]
WATCHED = (MODELSERVERS, LORAADAPTERS, PODS, DEPLOYMENTS, SERVICES, BUDGETS)
LABELLED = (PODS, DEPLOYMENTS, SERVICES, BUDGETS)
"""Kinds of which only those of some server are followed."""


class Index:
    """Objects by kind and identity, and which server each belongs to."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[Ref, Body]] = {resource: {} for resource in WATCHED}
        self._of: dict[Resource, dict[Ref, dict[Ref, None]]] = {resource: defaultdict(dict) for resource in WATCHED}
        self._removed: dict[tuple[Resource, Ref], int] = {}
        self._listed: dict[Resource, int] = {}
        """The version of the last full list."""
        self._names: dict[str, Names] = defaultdict(Names)

    def servers(self) -> set[Ref]:
        """Every server there is, or that some adapter or pod names."""
        return {ref for by_server in self._of.values() for ref, members in by_server.items() if members}

    def knows(self, server: Ref) -> bool:
        """Whether there is such a server, or something that names it."""
        return any(server in by_server for by_server in self._of.values())

    def get(self, resource: Resource, ref: Ref) -> Body | None:
        """One object, or None."""
        return self._objects[resource].get(ref)

    def of(self, resource: Resource, server: Ref) -> Iterator[Body]:
        """The objects of `server`, by name."""
        return (self._objects[resource][ref] for ref in sorted(self._of[resource].get(server, ())))

    def holders(self, namespace: str) -> dict[str, Ref]:
        """Public name → who holds it in `namespace` now."""
        return dict(self._names[namespace].holders)

    def answering(self, namespace: str) -> dict[str, frozenset[Ref]]:
        """Public name → the adapters of `namespace` that answer to it, as gateways were told."""
        return dict(self._names[namespace].answering)

    def put(self, resource: Resource, body: Body) -> set[Ref]:
        """Take in an object unless a newer one is here, or was. Returns the servers whose pass this concerns."""
        ref = ref_of(body)
        known = self._objects[resource].get(ref)
        # What is not here and not newer than the last list was gone by then, whatever a late event says.
        newest = (
            version(known) if known else max(self._removed.get((resource, ref), -1), self._listed.get(resource, -1))
        )
        return self._swap(resource, ref, body) if version(body) > newest else set()

    def remove(self, resource: Resource, ref: Ref, at: int) -> set[Ref]:
        """Forget an object that was deleted at version `at`. Returns the servers whose pass this concerns."""
        self._removed[resource, ref] = max(at, self._removed.get((resource, ref), -1))
        known = self._objects[resource].get(ref)
        return self._swap(resource, ref, None) if known and version(known) <= at else set()

    def replace(self, resource: Resource, bodies: Iterable[Body], at: int) -> set[Ref]:
        """Take in a full list as of version `at`: what is older and not in it is gone."""
        listed = {ref_of(body): body for body in bodies}
        touched: set[Ref] = set()
        for ref, known in list(self._objects[resource].items()):
            if ref not in listed and version(known) <= at:
                touched |= self._swap(resource, ref, None)
        for body in listed.values():
            touched |= self.put(resource, body)
        self._listed[resource] = max(at, self._listed.get(resource, -1))
        self._removed = {key: gone for key, gone in self._removed.items() if key[0] != resource or gone > at}
        return touched

    def _swap(self, resource: Resource, ref: Ref, body: Body | None) -> set[Ref]:
        """Put `body` where `ref` was, or nothing. Returns the servers of the old, the new, and of moved names."""
        known = self._objects[resource].pop(ref, None)
        if body is not None:
            self._objects[resource][ref] = body
        before, after = server_of(resource, known), server_of(resource, body)
        if before:
            del self._of[resource][before][ref]
        if after:
            self._of[resource][after][ref] = None
        if before and not self._of[resource][before]:
            del self._of[resource][before]
        names = self._names[ref.namespace]
        concerned = names.change(claims_of(resource, known), claims_of(resource, body))
        if resource == LORAADAPTERS:
            concerned |= names.answer(ref, answers_of(known), answers_of(body))
        moved = (self._server_of_adapter(each) for each in concerned)
        return {server for server in (before, after, *moved) if server}

    def _server_of_adapter(self, ref: Ref) -> Ref | None:
        return server_of(LORAADAPTERS, self._objects[LORAADAPTERS].get(ref))


def version(body: Body) -> int:
    """resourceVersions are comparable numbers (KEP-5504)."""
    return int(body["metadata"]["resourceVersion"])


def server_of(resource: Resource, body: Body | None) -> Ref | None:
    """The server an object belongs to, by what the object itself says; None for nothing."""
    if body is None:
        return None
    ref = ref_of(body)
    if resource == MODELSERVERS:
        return ref
    if resource == LORAADAPTERS:
        return Ref(ref.namespace, body["spec"]["modelServerRef"]["name"])
    name = body["metadata"].get("labels", {}).get(SERVER_LABEL)
    return Ref(ref.namespace, name) if name else None


def claims_of(resource: Resource, body: Body | None) -> tuple[Claim, ...]:
    """The public names an object asks for; nothing asks for none."""
    if body is None or resource not in (MODELSERVERS, LORAADAPTERS):
        return ()
    meta, spec, ref = body["metadata"], body["spec"], ref_of(body)
    if resource == MODELSERVERS:
        rank, names = 0, [spec["model"].get("name") or default_model_name(spec["model"]["uri"])]
        ref = Ref("", f"ModelServer {ref.name}")
    else:
        rank, names = 1, [spec.get("name") or meta["name"], *spec.get("aliases", ())]
    created = meta.get("creationTimestamp", "")
    return tuple(Claim(rank, created, meta.get("uid", ""), ref, name) for name in names)


def answers_of(body: Body | None) -> frozenset[str]:
    """The public names to which an adapter answers, as its status says; nothing answers to none."""
    if body is None or "deletionTimestamp" in body["metadata"]:
        return frozenset()
    status = body.get("status", {})
    serves = any(row.get("state") == State.LOADED for row in status.get("replicas", ()))
    return frozenset(status.get("names", ())) if serves else frozenset()
