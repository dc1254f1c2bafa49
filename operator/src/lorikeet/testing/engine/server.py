"""The simulator as a server inside a test: `async with Engine(model) as engine`."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from lorikeet.engine.guard import Guard
from lorikeet.testing.engine.app import Gate, Routes
from lorikeet.testing.engine.core import Core
from lorikeet.testing.engine.faults import Faults
from lorikeet.testing.engine.settings import Settings

START_SECONDS = 60.0


class Engine:
    """One simulated engine behind the real guard, on a loopback port that it keeps over restarts.

    `folder` receives the guard's two key files; `adapters` is the only folder loads may name. `settings` wins over
    `model`: give it for anything but the defaults (2 slots on the GPU, 4 in memory, rank 16).
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        adapters: Path,
        *,
        settings: Settings | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.settings = settings or Settings(model, "base", max_loras=2, max_cpu_loras=4)
        self.faults = faults or Faults()
        self.inference_key, self.control_token = secrets.token_hex(16), secrets.token_hex(16)
        self.died: str | None = None
        self._folder, self._adapters = folder, adapters
        self._port = 0
        self._life: Life | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    @property
    def core(self) -> Core:
        """What is inside this life. Raises RuntimeError when there is none."""
        if self._life is None:
            raise RuntimeError("the engine is not running")
        return self._life.core

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "inference-key").write_text(self.inference_key)
        (self._folder / "control-token").write_text(self.control_token)
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.crash()

    async def start(self) -> None:
        """A new life: no adapters, another boot id, the same port."""
        core = Core(self.settings, self.faults, self._on_death)
        app = Gate(Guard(Routes(core).app(), self._folder, self._adapters), core)
        self._life = Life(core, app, self._port)
        self._port = self._life.port
        await self._life.started()

    async def crash(self) -> None:
        """End this life as SIGKILL would: open connections are cut, nothing is finished."""
        life, self._life = self._life, None
        if life is not None:
            await life.kill()

    async def restart(self, **changes: object) -> None:
        """Crash and start, with these settings changed."""
        await self.crash()
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]
        await self.start()

    def _on_death(self, why: str) -> None:
        self.died = why
        life, self._life = self._life, None
        if life is not None:
            life.end_soon()


class Life:
    """One run of the server, from bind to kill."""

    def __init__(self, core: Core, app: Gate, port: int) -> None:
        self.core = core
        self._socket = socket.create_server(("127.0.0.1", port), reuse_port=False)
        # asyncio leaves Nagle on where a socket is not its own; uvloop, which vLLM runs in, never does.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(app, log_level="error", lifespan="on", ws="none", access_log=False)
        self._server = Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._dying: asyncio.Task[None] | None = None

    async def started(self) -> None:
        ready = asyncio.create_task(self._server.ready.wait())
        await asyncio.wait({ready, self._task}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if not self._server.ready.is_set():
            await self.kill()
            raise RuntimeError("the engine did not start: does the guard find its keys?")

    def end_soon(self) -> None:
        """Cut everything once the reply in hand is out."""
        asyncio.get_running_loop().call_later(0.01, self._begin_to_die)

    def _begin_to_die(self) -> None:
        self._dying = asyncio.create_task(self.kill())

    async def kill(self) -> None:
        self._cut()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._server.ready.is_set():
            # A forced exit leaves uvicorn's lifespan task behind; a dead process would not.
            await self._server.lifespan.shutdown()
            self._server.ready.clear()

    def _cut(self) -> None:
        self._server.should_exit = self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()
        for server in getattr(self._server, "servers", ()):
            server.close()
        for task in list(self._server.server_state.tasks):
            task.cancel()


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which belong to the test runner."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self.ready.set()
