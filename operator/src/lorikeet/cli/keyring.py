"""The Secret of API keys as people change it. Every change reads, changes one field, and writes back what was read."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lorikeet.api.apikeys import KEY, PEPPER, PEPPER_BYTES, KeyEntry, digest, new_key
from lorikeet.api.ref import Ref
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import Conflict, NotFound
from lorikeet.kube.resource import SECRETS

TRIES = 5
Data = dict[str, str]


class NoSuchKey(Exception):
    """No key has this id."""


@dataclass(frozen=True)
class Keyring:
    """Secret `ref`. `now` and `random` are parameters for tests."""

    kube: Kube
    ref: Ref
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    random: Callable[[int], bytes] = secrets.token_bytes

    async def list(self) -> dict[str, KeyEntry]:
        """Every key by its id."""
        try:
            found = await self.kube.get(SECRETS, self.ref)
        except NotFound:
            return {}
        return entries(found.get("data") or {})

    async def create(self, entry: Callable[[str], KeyEntry]) -> tuple[str, str]:
        """A new key: its id, and the key, which nobody can ever read again. `entry` is given what is kept of it."""
        key_id, key = new_key(self.random)

        def add(data: Data) -> None:
            data.setdefault(PEPPER, encoded(self.random(PEPPER_BYTES)))
            put(data, key_id, entry(digest(base64.b64decode(data[PEPPER]), key.encode())))

        await self._change(add)
        return key_id, key

    async def rotate(self, old_id: str, until: datetime) -> tuple[str, str]:
        """A new key like `old_id`, which ends at `until`. Raises NoSuchKey."""
        old = await self._one(old_id)
        created = stamp(self.now())
        key_id, key = await self.create(lambda kept: old.model_copy(update={"hmac": kept, "created": created}))
        ends = min(until, old.expires) if old.expires else until
        await self._change(lambda data: put(data, old_id, old.model_copy(update={"expires": ends})))
        return key_id, key

    async def revoke(self, key_id: str) -> None:
        """The key opens nothing any more. Raises NoSuchKey."""
        await self._one(key_id)
        await self._change(lambda data: data.pop(KEY + key_id, None))

    async def _one(self, key_id: str) -> KeyEntry:
        found = (await self.list()).get(key_id)
        if found is None:
            raise NoSuchKey(f"Secret {self.ref} has no key {key_id}: see `kubectl lorikeet keys list`")
        return found

    async def _change(self, change: Callable[[Data], object]) -> None:
        """Raises Conflict when others write as often as we try."""
        for attempt in range(TRIES):
            try:
                await self._write(change)
            except Conflict:
                if attempt == TRIES - 1:
                    raise
            else:
                return

    async def _write(self, change: Callable[[Data], object]) -> None:
        try:
            body = await self.kube.get(SECRETS, self.ref)
        except NotFound:
            body = new_secret(self.ref)
        data = dict(body.get("data") or {})
        change(data)
        write = self.kube.update if "resourceVersion" in body["metadata"] else self.kube.create
        await write(SECRETS, {**body, "data": data})


def entries(data: Data) -> dict[str, KeyEntry]:
    """The keys in a Secret's fields."""
    return {
        field.removeprefix(KEY): KeyEntry.parse(json.loads(base64.b64decode(text)))
        for field, text in sorted(data.items())
        if field.startswith(KEY)
    }


def put(data: Data, key_id: str, entry: KeyEntry) -> None:
    """Keep `entry` as `key_id`."""
    data[KEY + key_id] = encoded(json.dumps(entry.dump(), sort_keys=True).encode())


def stamp(moment: datetime) -> str:
    """A moment as Kubernetes writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def encoded(value: bytes) -> str:
    """As a Secret holds it."""
    return base64.b64encode(value).decode()


def new_secret(ref: Ref) -> dict[str, Any]:
    """A Secret without keys."""
    labels = {"app.kubernetes.io/part-of": "lorikeet"}
    meta = {"namespace": ref.namespace, "name": ref.name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque"}
