"""What scripts may tell a gateway."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from lorikeet.api.apikeys import digest, id_of
from lorikeet.gateway.gateway import serve_admin
from lorikeet.gateway.keyfeed import Body, KeyFeed
from lorikeet.kube.errors import Unreachable
from lorikeet.testing.apiserver.process import free_ports

ADMIN, USER = "sk-aaaaaaaaaaaa-x", "sk-bbbbbbbbbbbb-y"
PEPPER = b"p" * 32


def fields() -> dict[str, str]:
    entries = {
        id_of(key.encode()): {"hmac": digest(PEPPER, key.encode()), "tenant": "t", "admin": key == ADMIN}
        for key in (ADMIN, USER)
    }
    data = {"pepper": PEPPER, **{f"key.{name}": json.dumps(entry).encode() for name, entry in entries.items()}}
    return {name: base64.b64encode(value).decode() for name, value in data.items()}


class Secret:
    """A Secret that can be away."""

    away = False

    async def look(self) -> Body:
        if self.away:
            raise Unreachable("no answer")
        return {"data": fields()}

    async def bodies(self) -> AsyncIterator[Body | None]:
        return
        yield


@pytest.fixture
async def secret() -> Secret:
    return Secret()


@pytest.fixture
async def post(stack: Any, secret: Secret) -> Any:
    stack.gateway.keys._anybody = None
    stack.gateway.keys.put("one", fields())
    feed = KeyFeed(stack.gateway.keys, "one", secret.bodies(), secret.look)
    (port,) = free_ports(1)
    admin = await serve_admin(stack.gateway, [feed], "127.0.0.1", port)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def post(path: str, body: Any = None, key: str = ADMIN) -> tuple[int, Any]:
            async with http.post(path, data=json.dumps(body), headers={"X-API-Key": key}) as reply:
                return reply.status, await reply.json()

        yield post
    await admin.cleanup()


@pytest.mark.parametrize("path", ["/admin/reload-keys", "/admin/prefetch", "/admin/warm"])
async def test_only_an_administrators_key_is_obeyed(post: Any, path: str) -> None:
    assert (await post(path, {"adapters": ["x"]}, USER))[0] == 403
    assert (await post(path, {"adapters": ["x"]}, "sk-cccccccccccc-z"))[0] == 401


async def test_keys_are_looked_at_again_and_an_api_server_that_is_away_is_said(post: Any, secret: Secret) -> None:
    assert await post("/admin/reload-keys") == (200, {"keys": 2})
    secret.away = True
    status, body = await post("/admin/reload-keys")
    assert (status, body["error"]["code"]) == (503, "unavailable")


async def test_warming_asks_each_replica_for_one_token_of_each_adapter(
    stack: Any, post: Any, objects: Any, make_engine: Any, reply_with: Any
) -> None:
    good, bad = await make_engine(), await make_engine(reply_with(b"{}", "500 Internal Server Error"))
    pods = {"pod-0": good.address, "pod-1": bad.address, "pod-2": "127.0.0.1:1"}
    stack.put(
        objects.server(endpoints=pods),
        objects.adapter("sql", dict.fromkeys(pods, objects.digest)),
        objects.adapter("poet", {"pod-0": objects.digest}),
    )
    told = {"poet": {"pod-0": "ok"}, "sql": {"pod-0": "ok", "pod-1": "status 500", "pod-2": "unreachable"}}
    assert await post("/admin/warm", {"adapters": ["sql", "poet"]}) == (503, {"adapters": told})
    assert await post("/admin/warm", {"adapters": ["poet"]}) == (200, {"adapters": {"poet": {"pod-0": "ok"}}})
    asked = [json.loads(heard.body) for heard in good.heard]
    assert [body["model"] for body in asked] == ["sql@3f9c1a7d20b4", "poet@3f9c1a7d20b4", "poet@3f9c1a7d20b4"]
    assert {body["max_tokens"] for body in asked} == {1}


async def test_prefetching_begins_and_says_what(stack: Any, post: Any, make_engine: Any) -> None:
    stack.route(engine := await make_engine())
    assert await post("/admin/prefetch", {"adapters": ["sql"]}) == (202, {"adapters": {"sql": ["pod-0"]}})
    assert (await post("/admin/warm", {"adapters": ["sql"]}))[0] == 200
    assert len(engine.heard) == 2


@pytest.mark.parametrize("body", [None, [], {}, {"adapters": []}, {"adapters": "sql"}, {"adapters": ["a"] * 257}])
async def test_a_body_that_names_nothing_is_refused(post: Any, body: Any) -> None:
    assert (await post("/admin/warm", body))[0] == 400


async def test_a_name_that_means_nothing_is_404(post: Any) -> None:
    assert (await post("/admin/prefetch", {"adapters": ["nobody"]}))[0] == 404
