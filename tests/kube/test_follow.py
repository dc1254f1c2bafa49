"""Following a kind over a connection that breaks in every way: nothing is lost, nothing that is gone is kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest
from aiohttp import web
from kubernetes.aio import client

from lorikeet.api.ref import Ref
from lorikeet.backoff import Backoff
from lorikeet.kube import watch
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.resource import PODS
from lorikeet.kube.watch import Change, Changed, Gone, Listed, follow

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Script:
    """An API server that answers each list and each watch with the next of its script, and then hangs."""

    def __init__(self) -> None:
        self.lists: list[Answer] = []
        self.watches: list[Answer] = []
        self.listed = 0
        self.watched_from: list[str] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            self.watched_from.append(request.query["resourceVersion"])
            return await (self.watches.pop(0) if self.watches else silence)(request)
        self.listed += 1
        return await (self.lists.pop(0) if self.lists else silence)(request)


def pod(name: str, version: int, note: str = "") -> Body:
    return {"metadata": {"namespace": "default", "name": name, "resourceVersion": str(version)}, "note": note}


def event(kind: str, body: Body) -> bytes:
    return json.dumps({"type": kind, "object": body}).encode() + b"\n"


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"})


def listing(version: int, *bodies: Body) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"metadata": {"resourceVersion": str(version)}, "items": bodies})

    return answer


def status(code: int, text: str = "no") -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text=text)

    return answer


def stream(*lines: bytes, cut: bool = False) -> Answer:
    """Send lines, then end the stream as agreed, or cut the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        reply = web.StreamResponse()
        await reply.prepare(request)
        for line in lines:
            await reply.write(line)
        if cut and request.transport:
            request.transport.close()
        return reply

    return answer


async def silence(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def kube(script: Script, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kube]:
    monkeypatch.setattr(watch, "BACKOFF", Backoff(first=0.001))
    app = web.Application()
    app.router.add_get("/api/v1/pods", script.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with Kube(client.ApiClient(client.Configuration(host=host))) as found:
        yield found
    await runner.cleanup()


async def first(kube: Kube, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(5), aclosing(follow(kube, PODS)) as changes:
        async for change in changes:
            found.append(change)
            if len(found) == count:
                break
    return found


async def test_it_begins_with_everything_and_goes_on_with_each_change(script: Script, kube: Kube) -> None:
    script.lists = [listing(10, pod("a", 5))]
    script.watches = [stream(event("ADDED", pod("b", 11)), event("DELETED", pod("a", 12)))]
    assert await first(kube, 3) == [Listed([pod("a", 5)]), Changed(pod("b", 11)), Gone(Ref("default", "a"))]
    assert script.watched_from[0] == "10"


@pytest.mark.parametrize("cut", [False, True], ids=["ended", "cut"])
async def test_a_stream_that_ends_is_resumed_where_it_was_without_a_new_list(
    script: Script, kube: Kube, cut: bool
) -> None:
    script.lists = [listing(10)]
    script.watches = [stream(event("ADDED", pod("b", 11)), cut=cut), stream(event("MODIFIED", pod("b", 12)))]
    assert await first(kube, 3) == [Listed([]), Changed(pod("b", 11)), Changed(pod("b", 12))]
    assert (script.listed, script.watched_from[:2]) == (1, ["10", "11"])


async def test_a_bookmark_moves_the_place_to_resume_from_and_is_no_change(script: Script, kube: Kube) -> None:
    script.lists = [listing(10)]
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "99"}})
    script.watches = [stream(bookmark), stream(event("ADDED", pod("b", 100)))]
    assert await first(kube, 2) == [Listed([]), Changed(pod("b", 100))]
    assert script.watched_from[:2] == ["10", "99"]


@pytest.mark.parametrize("expired", [stream(EXPIRED), status(410)], ids=["as an event", "as a status"])
async def test_an_expired_version_lists_again_so_that_what_vanished_is_not_kept(
    script: Script, kube: Kube, expired: Answer
) -> None:
    script.lists = [listing(10, pod("a", 5)), listing(50)]
    script.watches = [expired, stream(event("ADDED", pod("b", 51)))]
    assert await first(kube, 3) == [Listed([pod("a", 5)]), Listed([]), Changed(pod("b", 51))]
    assert script.watched_from[:2] == ["10", "50"]


@pytest.mark.parametrize(
    "trouble",
    [status(500), status(429), status(403), status(200, "<html>"), stream(b"{half a line"), stream(cut=True)],
    ids=["500", "429", "403", "a proxy's page", "half a line", "cut"],
)
async def test_a_watch_that_fails_is_tried_again_from_the_same_place(
    script: Script, kube: Kube, trouble: Answer
) -> None:
    script.lists = [listing(10)]
    script.watches = [trouble, stream(event("ADDED", pod("b", 11)))]
    assert await first(kube, 2) == [Listed([]), Changed(pod("b", 11))]
    assert (script.listed, script.watched_from[:2]) == (1, ["10", "10"])


@pytest.mark.parametrize(
    "trouble",
    [status(500), status(403), status(404), status(200, "<html>"), status(200, "{}")],
    ids=["500", "403", "404", "a proxy's page", "no list"],
)
async def test_a_list_that_fails_is_tried_again(script: Script, kube: Kube, trouble: Answer) -> None:
    script.lists = [trouble, listing(10, pod("a", 5))]
    assert await first(kube, 1) == [Listed([pod("a", 5)])]


async def test_an_error_within_the_stream_is_no_object(script: Script, kube: Kube) -> None:
    script.lists = [listing(10)]
    gone_wrong = event("ERROR", {"kind": "Status", "code": 500, "message": "etcd"})
    script.watches = [stream(gone_wrong), stream(event("ADDED", pod("b", 11)))]
    assert await first(kube, 2) == [Listed([]), Changed(pod("b", 11))]


async def test_an_object_as_large_as_any_is_read(script: Script, kube: Kube) -> None:
    script.lists = [listing(10)]
    large = pod("b", 11, "x" * 1_500_000)  # the API server takes no more
    script.watches = [stream(event("ADDED", large))]
    assert (await first(kube, 2))[1] == Changed(large)
