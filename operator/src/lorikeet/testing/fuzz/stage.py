"""A gateway between a client of bytes and an engine of bytes, for thousands of examples on one loop.

with Stage(Limits(…)) as stage:
    said = stage.run(stage.talk([b"GET /health HTTP/1.1…"]))
    stage.run(stage.rest())             # raises AssertionError where something is left
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from lorikeet.api.ref import Ref
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.gateway import Gateway
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.testing.fuzz.recorder import Recorder

Result = TypeVar("Result")
PATIENCE = 10.0
"""Seconds after which silence is a fault."""
SETTLED = 2.0
"""Seconds after which what is held is a leak."""
TRIES = 5
ENGINE_NAME = "sql@3f9c1a7d20b4"
PLAIN = b'POST /v1/completions HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: 15\r\n\r\n{"model":"sql"}'


@dataclass
class Talk:
    """What a client got: `said` by the gateway, and whether the connection broke in the end."""

    said: bytes
    broke: bool


class Stage:
    """Base model `base` and adapter `sql` on one engine, which says what `engine.say` is told."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self._errors = _Errors()
        self.engine = Recorder()

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._errors)
        self._runner.run(self._start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._stop())
        self._runner.close()
        logging.getLogger().removeHandler(self._errors)

    def run(self, doing: Coroutine[Any, Any, Result]) -> Result:
        """Do it on the loop; what else lives there goes on meanwhile, and rests until the next time."""
        return self._runner.run(doing)

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: self._errors.told.append(str(about)))
        address = await self.engine.start()
        catalog, server = Catalog(), Ref("ns", "qwen")
        catalog.put(ServerRow(server, "uid", "2026-01-01T00:00:00Z", "base", {"pod-0": address}, replicas=1))
        loaded = frozenset({("pod-0", ENGINE_NAME)})
        catalog.put(AdapterRow(Ref("ns", "sql"), "2026-01-02T00:00:00Z", ("sql",), server, ENGINE_NAME, loaded))
        self.gateway = Gateway(catalog, b"r" * 32, self._limits, loop)
        self._address = address
        self._port = await self.gateway.listen("127.0.0.1", 0)

    async def _stop(self) -> None:
        await self.gateway.drain(0, 0)
        await self.engine.stop()

    async def talk(self, pieces: list[bytes], *, leave: bool = False) -> Talk:
        """Say it piece by piece and listen until the gateway hangs up; or leave without listening."""
        loop = asyncio.get_running_loop()
        transport, ear = await loop.create_connection(_Ear, "127.0.0.1", self._port)
        try:
            for piece in pieces:
                if ear.over.done():  # the gateway hung up meanwhile
                    break
                transport.write(piece)
                for _ in range(3):  # turns of the loop in which the gateway may read
                    await asyncio.sleep(0)
            if leave:
                transport.abort()
            await asyncio.wait_for(ear.over, PATIENCE)
        finally:
            transport.abort()
        return Talk(bytes(ear.said), ear.broke)

    async def ask(self, pieces: list[bytes]) -> Talk:
        """As `talk`, again where nothing came: a busy machine may read so late that an idle client was sent away."""
        for _ in range(TRIES):
            if (talk := await self.talk(pieces)).said or self.engine.heard:
                break
        return talk

    async def settle(self) -> None:
        """Once all is over, nothing is held."""
        until = asyncio.get_running_loop().time() + SETTLED
        while (left := self._left()) and asyncio.get_running_loop().time() < until:  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0.001)
        assert not left, left

    async def rest(self) -> None:
        """As `settle`; and nothing failed inside, and a plain request is answered."""
        await self.settle()
        self.engine.say = None
        self.engine.heard.clear()
        plain = await self.ask([PLAIN])
        assert plain.said.startswith(b"HTTP/1.1 200 "), f"a plain request afterwards: {plain}"
        told, self._errors.told = self._errors.told, []
        assert not told, told

    def _left(self) -> dict[str, object]:
        gateway = self.gateway
        held = {
            "clients": len(gateway._server._clients),
            "room": self._limits.bodies_bytes - gateway._server.room._free,
            "waiting": gateway.admission.waiting + gateway.cold.waiting,
            "running": gateway.answers.forwarder.picker.places(self._address),
            "requests": gateway.counters._running,
            "connections": self.engine.open - sum(len(spare) for spare in gateway._pool._spare.values()),
        }
        return {what: number for what, number in held.items() if number}


class _Ear(asyncio.Protocol):
    """Hears everything until the end."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.broke = False
        self.over = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.said += data

    def connection_lost(self, error: Exception | None) -> None:
        self.broke = error is not None
        if not self.over.done():
            self.over.set_result(None)


class _Errors(logging.Handler):
    """What is logged as an error: nothing that a client or an engine says may fail inside."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.told.append(f"{record.getMessage()}: {record.exc_info[1]!r}" if record.exc_info else record.getMessage())
