"""An API server's objects: who writes what, which versions they have, and who hears of it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lorikeet.api.ref import Ref
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Conflict, KubeError, NotFound
from lorikeet.kube.resource import EVENTS, Resource

Watcher = Callable[[str, Resource, Body], None]
"""Hears ADDED, MODIFIED or DELETED, the kind, and the object, which is not to be changed."""
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
LATENCY = 0.002
"""Seconds there, and again back."""


class Objects:
    """Every object there is. All methods are instant: latency and trouble are `Line`'s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: dict[tuple[Resource, Ref], Body] = {}
        self._version = 100
        self.watchers: list[Watcher] = []
        self.events: list[Body] = []
        """The Events that were told."""
        self.skew = timedelta()
        """How far everybody's date is off."""

    def get(self, resource: Resource, ref: Ref) -> Body:
        if (resource, ref) not in self._held:
            raise NotFound(f"{resource.kind} {ref}")
        return copy.deepcopy(self._held[resource, ref])

    def find(self, resource: Resource, ref: Ref) -> Body | None:
        """As it is held: not to be changed."""
        return self._held.get((resource, ref))

    def of(self, resource: Resource, namespace: str | None = None, label: str = "") -> list[Body]:
        """As they are held: not to be changed."""
        return [
            body
            for (kind, ref), body in sorted(self._held.items(), key=lambda item: item[0][1])
            if kind == resource
            and namespace in (None, ref.namespace)
            and (not label or label in body["metadata"].get("labels", {}))
        ]

    @property
    def version(self) -> str:
        return str(self._version)

    def create(self, resource: Resource, body: Body) -> Body:
        ref = _ref(body)
        if resource == EVENTS:
            self.events.append(body)
            return body
        if (resource, ref) in self._held:
            raise Conflict(f"{resource.kind} {ref} exists")
        uid = f"uid-{self._version + 1}"
        meta = {**body["metadata"], "uid": uid, "generation": 1, "creationTimestamp": self.now()}
        return self._put("ADDED", resource, {**_typed(resource), **body, "metadata": meta})

    def update(self, resource: Resource, body: Body) -> Body:
        known = self.get(resource, _ref(body))
        if body["metadata"].get("resourceVersion") != known["metadata"]["resourceVersion"]:
            raise Conflict(f"{resource.kind} {_ref(body)} was written in between")
        return self._change(resource, known, {key: body[key] for key in body if key not in ("metadata", "status")})

    def change(self, resource: Resource, ref: Ref, **spec: Any) -> Body:
        """What a user's edit does to a spec; None takes a field away."""
        known = self.get(resource, ref)
        fields = {key: value for key, value in {**known["spec"], **spec}.items() if value is not None}
        return self._change(resource, known, {"spec": fields})

    def apply(self, resource: Resource, body: Body, subresource: str | None = None) -> Body:
        if subresource is None and (resource, _ref(body)) not in self._held:
            return self.create(resource, body)
        known, asked = self.get(resource, _ref(body)), body["metadata"]
        for key in ("uid", "resourceVersion"):
            if key in asked and asked[key] != known["metadata"][key]:
                raise Conflict(f"{resource.kind} {_ref(body)}: {key} is another")
        parts = ("status",) if subresource == "status" else tuple(set(body) - {"metadata", "status"})
        labelled = {} if subresource else {key: asked[key] for key in ("labels", "annotations") if key in asked}
        return self._change(resource, known, {key: body[key] for key in parts}, labelled)

    def delete(self, resource: Resource, ref: Ref) -> Body:
        body = self.get(resource, ref)
        del self._held[resource, ref]
        self._version += 1
        body["metadata"]["resourceVersion"] = self.version
        self._tell("DELETED", resource, body)
        return body

    def _change(self, resource: Resource, known: Body, parts: Body, meta: Body | None = None) -> Body:
        fresh = {**known, **copy.deepcopy(parts), "metadata": {**known["metadata"], **(meta or {})}}
        if fresh == known:  # a write that changes nothing is none
            return known
        if fresh.get("spec") != known.get("spec"):
            fresh["metadata"]["generation"] = known["metadata"]["generation"] + 1
        return self._put("MODIFIED", resource, fresh)

    def _put(self, kind: str, resource: Resource, body: Body) -> Body:
        self._version += 1
        body = copy.deepcopy(body)
        body["metadata"]["resourceVersion"] = self.version
        self._held[resource, _ref(body)] = body
        self._tell(kind, resource, body)
        return copy.deepcopy(body)

    def _tell(self, kind: str, resource: Resource, body: Body) -> None:
        for watcher in list(self.watchers):
            watcher(kind, resource, body)

    def now(self) -> str:
        """The same as text."""
        return self.today().strftime("%Y-%m-%dT%H:%M:%SZ")

    def today(self) -> datetime:
        """The date that everybody writes."""
        return BEGINNING + timedelta(seconds=self._clock()) + self.skew


class Line(Kube):
    """One client's way to the objects. `trouble` says what goes wrong with a call, by verb and kind: an error, and
    whether the call is carried out all the same."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.trouble: Callable[[str, Resource], tuple[KubeError, bool] | None] = lambda verb, resource: None
        self.cut = False
        """Whoever is at this end is dead: nothing arrives any more."""

    async def get(self, resource: Resource, ref: Ref) -> Body:
        return await self._carry("get", resource, lambda: self.objects.get(resource, ref))

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Body:
        def listed() -> Body:
            items = list(self.objects.of(resource, namespace, labels))  # as they are held: an index only reads
            return {"metadata": {"resourceVersion": self.objects.version}, "items": items}

        return await self._carry("list", resource, listed)

    async def create(self, resource: Resource, body: Body) -> Body:
        return await self._carry("create", resource, lambda: self.objects.create(resource, body))

    async def update(self, resource: Resource, body: Body) -> Body:
        return await self._carry("update", resource, lambda: self.objects.update(resource, body))

    async def apply(self, resource: Resource, body: Body, subresource: str | None = None) -> Body:
        return await self._carry("apply", resource, lambda: self.objects.apply(resource, body, subresource))

    async def delete(self, resource: Resource, ref: Ref) -> None:
        await self._carry("delete", resource, lambda: self.objects.delete(resource, ref))

    async def _carry(self, verb: str, resource: Resource, do: Callable[[], Body]) -> Body:
        await asyncio.sleep(LATENCY)
        if self.cut:
            await asyncio.Event().wait()
        found = self.trouble(verb, resource)
        if found is not None:
            error, carried_out = found
            if carried_out:
                do()
            raise error
        answer = do()
        await asyncio.sleep(LATENCY)
        if self.cut:
            await asyncio.Event().wait()
        return answer


def _ref(body: Body) -> Ref:
    return Ref(body["metadata"].get("namespace", ""), body["metadata"]["name"])


def _typed(resource: Resource) -> Body:
    return {"apiVersion": resource.api_version, "kind": resource.kind}
