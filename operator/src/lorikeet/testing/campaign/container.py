"""The container `engine` of a pod as a process of this machine: the simulator, or the real vLLM. It can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from lorikeet.api import layout
from lorikeet.api.wire import ENGINE_PORT
from lorikeet.engine.client import EngineClient
from lorikeet.engine.errors import EngineError
from lorikeet.engine.flags import COMMAND

LOOK = 0.2
"""Seconds between two looks at what an engine lists."""
REST = 0.5
"""Seconds between an engine's death and its next life."""
ENDING = 15.0


@dataclass(frozen=True)
class Runtime:
    """What engines run on: a Python and the module in it that takes vLLM's arguments; `more` is of the environment."""

    python: str = sys.executable
    module: str = "lorikeet.testing.engine"
    more: Mapping[str, str] = field(default_factory=dict)


def simulator(token_seconds: float) -> Runtime:
    """As a process of its own; so long a token takes."""
    return Runtime(more={"LORIKEET_SIM_TOKEN_SECONDS": str(token_seconds)})


def vllm(python: str) -> Runtime:
    """The real one: each engine computes in one thread, bound to no core. A busy one that is bound starves another that
    starts beside it: on two cores for ten minutes."""
    more = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
    return Runtime(python, "vllm.entrypoints.openai.api_server", more)


class Container:
    """`async with Container(spec, folder, ip, runtime)` keeps it running as a kubelet would: where it dies, another
    comes. `spec` is the container's of a Deployment; its volumes are in `folder`; it listens on `ip`, as a pod's does.
    """

    def __init__(self, spec: Mapping[str, Any], folder: Path, ip: str, runtime: Runtime) -> None:
        self.url = f"http://{ip}:{ENGINE_PORT}"
        self.boot = ""
        """The life that was seen last; empty while none answers."""
        self.log = folder / "engine.log"
        places = {layout.ADAPTERS: "adapters", layout.GUARD: "guard", layout.MODELS: "models", layout.TMP: "tmp"}
        self._places = {place: str(folder / name) for place, name in places.items()}
        given = [ip if word == "0.0.0.0" else self._here(word) for word in spec["command"][len(COMMAND) :]]
        self._argv = [runtime.python, "-m", runtime.module, *given]
        named = {each["name"]: self._here(each.get("value", "")) for each in spec["env"]}
        adapters = self._places[layout.ADAPTERS]
        self._env = {"PATH": os.environ["PATH"], **named, "LORIKEET_ADAPTERS_DIR": adapters, **runtime.more}
        self._token = folder / "guard" / layout.CONTROL_TOKEN
        self._listed: dict[str, Path] = {}
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._make_home()
        self._tasks = [asyncio.create_task(work) for work in (self._keep(), self._watch())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.kill()
        if self._process is not None:
            async with asyncio.timeout(ENDING):
                await self._process.wait()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self.boot, self._listed = "", {}
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def lists(self) -> dict[str, Path]:
        """What it listed a moment ago: engine name → folder."""
        return dict(self._listed)

    def _make_home(self) -> None:
        Path(self._places[layout.TMP]).mkdir(parents=True, exist_ok=True)

    async def _keep(self) -> None:
        while True:
            with self.log.open("ab") as log:
                # With us goes everything that we started, even where nobody is left to end it.
                self._process = await asyncio.create_subprocess_exec(
                    *("setpriv", "--pdeathsig", "KILL", "--", *self._argv),
                    env=self._env,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            await self._process.wait()
            self.kill()
            await asyncio.sleep(REST)

    async def _watch(self) -> None:
        async with aiohttp.ClientSession() as http:
            client = EngineClient(http, self.url, self._token.read_text())
            while True:
                try:
                    boot, listed = (await client.boot()).id, await client.models()
                except EngineError:
                    boot, listed = "", {}
                self.boot, self._listed = boot, {name: Path(root) for name, root in listed.items()}
                await asyncio.sleep(LOOK)

    def _here(self, word: str) -> str:
        """The same place in our folder."""
        for place, own in self._places.items():
            if word == place or word.startswith(f"{place}/"):
                return own + word.removeprefix(place)
        return word
