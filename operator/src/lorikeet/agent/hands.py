"""What the agent does: each action in its own task, each ending in a line of the log and a look by the loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TypeVar

from lorikeet.agent.memory import Memory
from lorikeet.agent.model import Model
from lorikeet.agent.plan import Action, Drain, Fetch, Keep, Key, Load, Remove, Unload
from lorikeet.agent.sight import Sight
from lorikeet.agent.store import Store
from lorikeet.agent.supply import Supply, Unfit, other_bytes, problem_of
from lorikeet.api.conditions import Problem, Reason
from lorikeet.artifacts.errors import ArtifactError, Denied
from lorikeet.backoff import ELSEWHERE
from lorikeet.engine.client import EngineClient
from lorikeet.engine.errors import EngineError, Refused, Unreachable, Why

K = TypeVar("K")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deadlines:
    """Seconds: a load has failed after `load`; one without an answer may come true until `hold`, so its files stay."""

    load: float = 60.0
    hold: float = 600.0


class Hands:
    """Carries actions out. `wake` is called whenever something has changed."""

    def __init__(
        self,
        engine: EngineClient,
        supply: Supply,
        store: Store,
        model: Model,
        memory: Memory,
        sight: Sight,
        deadlines: Deadlines,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine, self._supply, self._store, self._model = engine, supply, store, model
        self._memory, self._sight, self._deadlines = memory, sight, deadlines
        self._wake, self._clock = wake, clock
        self._fetching: dict[Key, asyncio.Task[None]] = {}
        self._calling: dict[str, asyncio.Task[None]] = {}
        self._removing: dict[str, asyncio.Task[None]] = {}
        self._shelf = asyncio.Lock()  # adopting and removing one digest exclude each other
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """(verb, outcome) → how often, in this life."""

    @property
    def fetching(self) -> frozenset[Key]:
        return frozenset(self._fetching)

    @property
    def calling(self) -> frozenset[str]:
        """Engine names with a load or unload under way."""
        return frozenset(self._calling)

    def start(self, action: Action) -> None:
        """Begin; returns at once."""
        match action:
            case Fetch(key):
                self._go(action, self._fetch(key), self._fetching, key)
            case Load(_, name, _):
                self._go(action, self._load(action), self._calling, name)
            case Unload(name):
                self._go(action, self._unload(name), self._calling, name)
            case Remove(digest):
                self._memory.on_disk.discard(digest)
                self._go(action, self._remove(digest), self._removing, digest)
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

    async def _fetch(self, key: Key) -> str:
        wish = self._memory.wishes().get(key)
        if wish is None:
            return "dropped"
        if (pin := self._memory.pins.get(key.uri)) is not None:  # here already, and not what this one insists on
            return self._failed(key, other_bytes(wish, pin))
        try:
            async with self._supply.bring(wish, self._model.facts) as (room, staged), self._shelf:
                await asyncio.to_thread(self._store.adopt, room, staged)
                self._memory.pins[key.uri] = staged
                self._memory.on_disk.add(staged.digest)
        except Unfit as unfit:
            self._memory.fail(key, "fetch", unfit.problem, known=unfit.staged)
            return f"failed: {unfit.problem.message}"
        except ArtifactError as error:
            asked = ELSEWHERE if isinstance(error, Denied) else error.retry_after
            return self._failed(key, problem_of(f"adapter {key.adapter}", error), asked)
        except OSError as error:
            message = f"adapter {key.adapter}: the replica's disk says {error.strerror}"
            return self._failed(key, Problem(reason=Reason.NO_SPACE, message=message), 10.0)
        self._memory.succeeded(key, "fetch")
        return "done"

    def _failed(self, key: Key, problem: Problem, asked: float | None = None) -> str:
        self._memory.fail(key, "fetch", problem, asked)
        return f"failed: {problem.message}"

    async def _load(self, load: Load) -> str:
        try:
            async with asyncio.timeout(self._deadlines.load):
                await self._engine.load(load.name, load.path)
        except TimeoutError:
            said = f"the engine did not load it within {self._deadlines.load:g} s: look at the engine's log"
            return self._unanswered(load, Reason.LOAD_TIMEOUT, said)
        except Unreachable as error:
            return self._unanswered(load, Reason.ENGINE_UNAVAILABLE, f"the engine does not answer: {error}")
        except EngineError as error:
            return self._refused(load, error)
        self._memory.succeeded(load.key, "load")
        self._sight.called(load.name)
        return "done"

    def _unanswered(self, load: Load, reason: Reason, said: str) -> str:
        self._memory.hold(load.key.uri, self._deadlines.hold)
        self._sight.doubt()
        return self._load_failed(load.key, reason, said, lasting=False)

    def _refused(self, load: Load, error: EngineError) -> str:
        self._sight.called(None)
        why = error.reason if isinstance(error, Refused) else None
        if why is Why.FILES_MISSING:
            self._memory.pins.pop(load.key.uri, None)  # bring them again
        said = error.message if isinstance(error, Refused) else str(error)
        return self._load_failed(
            load.key, Reason.LOAD_FAILED, f"the engine refuses it: {said[:500]}", lasting=why is Why.NOT_LOADABLE
        )

    def _load_failed(self, key: Key, reason: Reason, said: str, *, lasting: bool) -> str:
        problem = Problem(reason=reason, message=f"adapter {key.adapter}: {said}", lasting=lasting)
        self._memory.fail(key, "load", problem)
        return f"failed: {problem.message}"

    async def _unload(self, name: str) -> str:
        try:
            await self._engine.unload(name)
        except EngineError as error:
            self._sight.doubt()
            return f"failed: {error}"
        self._sight.called(name)
        return "done"

    async def _remove(self, digest: str) -> str:
        async with self._shelf:
            if any(staged.digest == digest for staged in self._memory.staged().values()):
                self._memory.on_disk.add(digest)
                return "dropped: it is wanted again"
            pins = self._memory.pins
            uris = tuple(uri for uri, pin in pins.items() if pin.digest == digest)
            for uri in uris:
                del pins[uri]
            await asyncio.to_thread(self._store.remove, digest, uris)
        return "done"
