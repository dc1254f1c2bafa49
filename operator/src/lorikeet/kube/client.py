"""A lean client: JSON in, JSON out, one timeout, typed errors. Credentials and TLS are the official client's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from lorikeet.api.ref import Ref
from lorikeet.kube.errors import Unreachable, from_status
from lorikeet.kube.resource import Resource

FIELD_MANAGER = "lorikeet-operator"
TIMEOUT = 20.0
"""Seconds for one call: kopf's default of 300 s would hold a pass for five minutes."""
NO_LIMIT = aiohttp.ClientTimeout()
CONNECTIONS = 64
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

Body = dict[str, Any]
Query = list[tuple[str, str]]


@dataclass(frozen=True)
class Credentials:
    """How somebody else in this process may speak to the same API server. Absent parts are None."""

    server: str
    ca_path: str | None
    insecure: bool
    token: str | None
    certificate_path: str | None
    private_key_path: str | None


class Kube:
    """The API server. `async with await Kube.connect(...) as kube`."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None) -> Kube:
        """In a pod by its service account, elsewhere by `kubeconfig` or the usual default."""
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = CONNECTIONS
        if kubeconfig is None and in_a_pod():
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            path = str(kubeconfig) if kubeconfig else None
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=path, client_configuration=configuration
            )
        return cls(client.ApiClient(configuration))

    def credentials(self) -> Credentials:
        """Ours, as they are now: a service account's token is another every hour."""
        chosen = self._api.configuration
        bearer = (chosen.api_key.get("BearerToken") or chosen.api_key.get("authorization") or "").split(" ")[-1]
        token = SERVICE_ACCOUNT.read_text().strip() if in_a_pod() else bearer
        return Credentials(
            server=chosen.host,
            ca_path=chosen.ssl_ca_cert,
            insecure=not chosen.verify_ssl,
            token=token or None,
            certificate_path=chosen.cert_file,
            private_key_path=chosen.key_file,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, resource: Resource, ref: Ref) -> Body:
        """One object; `NotFound` where there is none."""
        return await self._call("GET", resource.path(ref.namespace, ref.name))

    async def list(
        self, resource: Resource, namespace: str | None = None, *, labels: str = "", fields: str = ""
    ) -> Body:
        """The list object: `items`, and `metadata.resourceVersion` to watch from."""
        return await self._call("GET", resource.path(namespace), _selectors(labels, fields))

    async def create(self, resource: Resource, body: Body) -> Body:
        """Create; `Conflict` where it exists."""
        return await self._call("POST", resource.path(body["metadata"]["namespace"]), body=body)

    async def update(self, resource: Resource, body: Body) -> Body:
        """Replace the object that was read: `Conflict` where its resourceVersion is not the newest."""
        meta = body["metadata"]
        return await self._call("PUT", resource.path(meta["namespace"], meta["name"]), body=body)

    async def apply(self, resource: Resource, body: Body, subresource: str | None = None) -> Body:
        """Server-side apply as our field manager: we own what `body` says and nothing else."""
        meta = body["metadata"]
        typed = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
        return await self._call(
            "PATCH",
            resource.path(meta["namespace"], meta["name"], subresource),
            [("fieldManager", FIELD_MANAGER), ("force", "true")],
            body=typed,
            content_type="application/apply-patch+yaml",
        )

    async def delete(self, resource: Resource, ref: Ref) -> None:
        """Delete in the background; `NotFound` where it is gone."""
        await self._call("DELETE", resource.path(ref.namespace, ref.name), body={"propagationPolicy": "Background"})

    async def watch(
        self,
        resource: Resource,
        version: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        seconds: int = 300,
    ) -> AsyncGenerator[Body, None]:
        """Events {type, object} since `version`, until the server ends the stream after about `seconds`."""
        query = [
            ("watch", "true"),
            ("resourceVersion", version),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", str(seconds)),
            *_selectors(labels, fields),
        ]
        timeout = aiohttp.ClientTimeout(connect=TIMEOUT, sock_read=seconds + 30)
        async with self._send("GET", resource.path(namespace), query, timeout=timeout) as reply:
            try:
                async for line in reply.content:
                    yield json.loads(line)
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Unreachable(f"watch {resource.plural}: {error!r}") from error

    async def _call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: Body | None = None,
        content_type: str = "application/json",
    ) -> Body:
        try:
            # Not aiohttp's own total: it swallows a cancellation that comes at the moment when it runs out.
            async with asyncio.timeout(TIMEOUT):
                async with self._send(method, path, query or [], body, content_type) as reply:
                    return json.loads(await reply.read())  # type: ignore[no-any-return]
        except (TimeoutError, ValueError) as error:  # ValueError: no JSON, a proxy's page, say
            raise Unreachable(f"{method} {path}: {error!r}") from error

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        query: Query,
        body: Body | None = None,
        content_type: str = "application/json",
        timeout: aiohttp.ClientTimeout = NO_LIMIT,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        call = f"{method} {path}"
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = await self._api.param_serialize(
            method, path, query_params=query, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        try:
            answer = await self._api.call_api(*request, _request_timeout=timeout)
            reply: aiohttp.ClientResponse = answer.response
            async with reply:
                if reply.status >= 300:
                    raise from_status(reply.status, await reply.text(errors="replace"), call)
                yield reply
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(f"{call}: {error!r}") from error


def _selectors(labels: str, fields: str) -> Query:
    return [(key, value) for key, value in (("labelSelector", labels), ("fieldSelector", fields)) if value]


def in_a_pod() -> bool:
    """Whether a service account is mounted here."""
    return SERVICE_ACCOUNT.exists()
