"""The simulated engine itself: which adapters it knows, which it holds, and whose turn it is."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.testing.engine.faults import Faults
from lorikeet.testing.engine.settings import Settings
from lorikeet.testing.engine.weights import BadAdapter, NoAdapter, Weights, read_adapter, read_base


class EngineDied(Exception):
    """The engine is dead and takes the server with it."""


@dataclass(frozen=True)
class Registered:
    """An adapter the server lists. It may be held in memory or only on disk."""

    name: str
    path: Path
    number: int


@dataclass
class Counters:
    """What /metrics shows."""

    running: list[str] = field(default_factory=list)  # the name asked for, one for each request
    waiting: list[str] = field(default_factory=list)
    steps: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    finished: int = 0


class Core:
    """vLLM's behaviour behind its routes. `die` is called once when the engine dies."""

    def __init__(self, settings: Settings, faults: Faults, die: Callable[[str], None]) -> None:
        self.settings, self.faults, self._die = settings, faults, die
        self.base = read_base(settings.model)
        self.adapters: dict[str, Registered] = {}
        self.counters = Counters()
        self.started_at = time.time()
        self._held: OrderedDict[int, Weights] = OrderedDict()
        self._numbers = 0
        self._loop = asyncio.Lock()  # vLLM's engine loop does one thing at a time
        self._turn = asyncio.Condition()

    async def load(self, name: str, path: Path) -> None:
        """Register an adapter. Raises NoAdapter, BadAdapter. Everybody's tokens wait meanwhile, as in vLLM."""
        await self.faults.loads.wait()
        await stuck(name, self.faults.stuck_loads)
        async with self._loop:
            await self.faults.core.wait()
            await asyncio.sleep(self.settings.load_seconds)
            weights = read_adapter(path, self.settings.max_lora_rank)
            self._numbers += 1
            self._hold(self._numbers, weights)
            self.adapters[name] = Registered(name, path, self._numbers)

    async def unload(self, name: str) -> None:
        """Forget the name. What is held stays until it is evicted, as in vLLM."""
        await stuck(name, self.faults.stuck_unloads)
        self.adapters.pop(name, None)

    @property
    def loads(self) -> int:
        """How many loads there were in this life."""
        return self._numbers

    def knows(self, name: str) -> bool:
        return name == self.settings.served_name or (name in self.adapters and name not in self.faults.lose_adapters)

    def is_held(self, name: str) -> bool:
        """Whether the adapter is in memory. vLLM has no route that tells; tests may ask."""
        return self.adapters[name].number in self._held

    @asynccontextmanager
    async def request(self, name: str) -> AsyncIterator[Weights]:
        """One request's stay: waits for a place in the batch, then yields the weights that answer it."""
        adapter = self.adapters.get(name)
        self.counters.waiting.append(name)
        try:
            async with self._turn:
                await self._turn.wait_for(lambda: self._has_place(name))
                self.counters.running.append(name)
        finally:
            self.counters.waiting.remove(name)
        try:
            yield await self._weights(adapter)
        finally:
            async with self._turn:
                self.counters.running.remove(name)
                self.counters.finished += 1
                self._turn.notify_all()

    async def step(self, prompt_tokens: int = 0) -> None:
        """One turn of the engine's loop for one request: one token, and at its first one the prompt."""
        async with self._loop:
            await self.faults.core.wait()
        await asyncio.sleep(self.settings.token_seconds)
        self.counters.steps += 1
        self.counters.tokens += 1
        self.counters.prompt_tokens += prompt_tokens

    def _has_place(self, name: str) -> bool:
        running = {other for other in self.counters.running if other != self.settings.served_name}
        fits = name == self.settings.served_name or len(running | {name}) <= self.settings.max_loras
        return fits and len(self.counters.running) < self.settings.max_num_seqs

    async def _weights(self, adapter: Registered | None) -> Weights:
        if adapter is None:
            return self.base
        async with self._loop:
            await self.faults.core.wait()
            if adapter.number not in self._held:
                await asyncio.sleep(self.settings.load_seconds)
                self._hold(adapter.number, self._read_again(adapter))
            self._held.move_to_end(adapter.number)
            return self._held[adapter.number]

    def _read_again(self, adapter: Registered) -> Weights:
        """vLLM re-reads an evicted adapter inside its loop, where a missing file is the end of it."""
        try:
            return read_adapter(adapter.path, self.settings.max_lora_rank)
        except (NoAdapter, BadAdapter) as error:
            why = f"EngineCore encountered an issue: no adapter found for {adapter.path}"
            self._die(why)
            raise EngineDied(why) from error

    def _hold(self, number: int, weights: Weights) -> None:
        self._held[number] = weights
        while len(self._held) > self.settings.max_cpu_loras:
            self._held.popitem(last=False)


async def stuck(name: str, adapters: set[str]) -> None:
    """Wait while the name's adapter, which is what stands before the @, is one of these."""
    while name.split("@", 1)[0] in adapters:  # noqa: ASYNC110 - a set has no event
        await asyncio.sleep(0.01)
