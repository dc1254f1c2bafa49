"""What the guard says of requests in flight, and of an engine that hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lorikeet.engine.guard import HUNG, Guard, Message, Receive, Scope, Send

KEY, TOKEN = "the-inference-key", "the-control-token"
Life = tuple[int, float]


class Bench:
    """A guard before an engine that answers when it is told to; one client that sends and reads when it is told to."""

    def __init__(self, folder: Path) -> None:
        (folder / "inference-key").write_text(KEY)
        (folder / "control-token").write_text(TOKEN)
        self.folder, self.now = folder, 100.0
        self.body, self.answer, self.read = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.broken = False
        self.guard = Guard(self._engine, folder, clock=lambda: self.now)

    async def _engine(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        await self.answer.wait()
        if self.broken:
            raise RuntimeError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"through"})

    @asynccontextmanager
    async def request(self) -> AsyncIterator[asyncio.Task[None]]:
        parts = iter([True, False])

        async def receive() -> Message:
            more = next(parts)
            if not more:
                await self.body.wait()
            return {"type": "http.request", "body": b"x", "more_body": more}

        async def send(message: Message) -> None:
            await self.read.wait()

        task = asyncio.create_task(self.guard(scope("POST", "/v1/completions", KEY), receive, send))
        await asyncio.sleep(0)
        yield task
        for event in (self.body, self.answer, self.read):
            event.set()
        await asyncio.wait([task])

    async def get(self, path: str, token: str = "") -> tuple[int, dict[str, Any]]:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            sent.append(message)

        self.answer.set()
        await self.guard(scope("GET", path, token), receive, send)
        body = sent[1]["body"]
        return sent[0]["status"], json.loads(body) if body.startswith(b"{") else {}

    async def life(self) -> Life:
        _, told = await self.guard_life()
        return told["inFlight"], told["quietFor"]

    async def guard_life(self) -> tuple[int, dict[str, Any]]:
        answered = self.answer.is_set()
        found = await self.get("/-/boot", TOKEN)
        if not answered:
            self.answer.clear()
        return found


def scope(method: str, path: str, token: str) -> Scope:
    headers = [(b"authorization", f"Bearer {token}".encode())] if token else []
    raw = {"raw_path": path.encode(), "path": path, "query_string": b"", "headers": headers}
    return {"type": "http", "method": method, **raw}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_without_a_request_nobody_waits(bench: Bench) -> None:
    assert await bench.life() == (0, 0.0)


async def test_a_request_waits_for_the_engine_from_the_end_of_its_body_on(bench: Bench) -> None:
    async with bench.request():
        bench.now += 50
        assert await bench.life() == (1, 0.0)  # a client that sends slowly
        bench.body.set()
        await settle()
        bench.now += 7
        assert await bench.life() == (1, 7.0)


async def test_a_client_that_reads_slowly_does_not_wait_for_the_engine(bench: Bench) -> None:
    async with bench.request():
        bench.body.set()
        bench.answer.set()
        await settle()
        bench.now += 50
        assert await bench.life() == (1, 0.0)


async def test_the_quietest_of_all_counts(bench: Bench) -> None:
    bench.body.set()
    async with bench.request():
        bench.now += 5
        async with bench.request():
            bench.now += 3
            assert await bench.life() == (2, 8.0)
    assert await bench.life() == (0, 0.0)


async def test_a_request_that_breaks_is_over(bench: Bench) -> None:
    bench.broken = True
    async with bench.request() as task:
        bench.body.set()
    assert isinstance(task.exception(), RuntimeError)
    assert await bench.life() == (0, 0.0)


async def test_health_says_what_the_agent_found_of_this_life(bench: Bench) -> None:
    assert (await bench.get("/health"))[0] == 200
    boot = (await bench.get("/-/boot", TOKEN))[1]["boot"]
    (bench.folder / HUNG).write_text(boot)
    status, body = await bench.get("/health")
    assert (status, body["error"]["message"]) == (503, "the engine hangs: requests wait and no token comes")
    (bench.folder / HUNG).unlink()
    assert (await bench.get("/health"))[0] == 200


@pytest.mark.parametrize("text", [b"", b"\xff", b"0" * 32])
async def test_a_verdict_on_another_life_is_none(bench: Bench, text: bytes) -> None:
    (bench.folder / HUNG).write_bytes(text)
    assert (await bench.get("/health"))[0] == 200
