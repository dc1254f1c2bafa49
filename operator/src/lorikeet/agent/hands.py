"""What the agent does: each action in its own task, each ending in a line of the log and a look by the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import TypeVar

from lorikeet.agent.actions import Action, Drain, Fetch, GiveUp, Keep, Load, Remove, Unload
from lorikeet.agent.calls import Calls
from lorikeet.agent.memory import Memory
from lorikeet.agent.seen import Call, Key
from lorikeet.agent.stock import Stock

K = TypeVar("K")
log = logging.getLogger(__name__)


class Hands:
    """Carries actions out. `wake` is called whenever something has changed."""

    def __init__(
        self,
        stock: Stock,
        calls: Calls,
        memory: Memory,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stock, self._calls, self._memory = stock, calls, memory
        self._wake, self._clock = wake, clock
        self._fetching: dict[Key, asyncio.Task[None]] = {}
        self._calling: dict[str, asyncio.Task[None]] = {}
        self._called: dict[str, Call] = {}
        self._removing: dict[str, asyncio.Task[None]] = {}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """(verb, outcome) → how often, in this life."""

    @property
    def fetching(self) -> frozenset[Key]:
        return frozenset(self._fetching)

    @property
    def removing(self) -> frozenset[str]:
        return frozenset(self._removing)

    @property
    def calling(self) -> dict[str, Call]:
        """By engine name: the loads and unloads under way."""
        return {name: self._called[name] for name in self._calling}

    def start(self, action: Action) -> None:
        """Begin; returns at once."""
        match action:
            case Fetch(key):
                self._go(action, self._stock.fetch(key), self._fetching, key)
            case Load(_, name, path):
                self._called[name] = Call(self._clock(), path.rpartition("/")[2])
                self._go(action, self._calls.load(action), self._calling, name)
            case Unload(name):
                self._called[name] = Call(self._clock())
                self._go(action, self._calls.unload(name), self._calling, name)
            case Remove(digest):
                self._memory.on_disk.discard(digest)
                self._go(action, self._stock.remove(digest), self._removing, digest)
            case GiveUp(digest):
                self._memory.on_disk.discard(digest)
                self._go(action, self._stock.give_up(digest), self._removing, digest)
            case Drain(name):
                self._memory.draining[name] = self._clock()
                self._say(action)
            case Keep(name):
                self._memory.draining.pop(name, None)
                self._say(action)

    def drop(self, keys: frozenset[Key]) -> None:
        """Stop fetching these: nobody wants them, or not like that."""
        for key in keys & self._fetching.keys():
            self._fetching[key].cancel()

    async def stop(self) -> None:
        """End all that is under way."""
        tasks = [*self._fetching.values(), *self._calling.values(), *self._removing.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _say(self, action: Action) -> None:
        log.info("%s", action)
        self._wake()

    def _go(self, action: Action, work: Coroutine[None, None, str], tasks: dict[K, asyncio.Task[None]], key: K) -> None:
        async def logged() -> None:
            began, outcome, detail = self._clock(), "stopped", ""
            try:
                outcome, _, detail = (await work).partition(": ")
            except Exception:  # one broken action must not end the loop that all adapters live by
                outcome = "broke"
                log.exception("%s broke", action)
            finally:
                del tasks[key]
                self.outcomes[type(action).__name__.lower(), outcome] += 1
                took = (self._clock() - began) * 1000
                log.info("%s: %s after %.0f ms%s", action, outcome, took, detail and f": {detail}")
                self._wake()

        tasks[key] = asyncio.create_task(logged())
