"""Loads and unloads: what is asked of the engine, and what each answer, or none, means."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lorikeet.agent.actions import Load
from lorikeet.agent.memory import Memory
from lorikeet.agent.seen import Key
from lorikeet.agent.sight import Sight
from lorikeet.api.conditions import Problem, Reason
from lorikeet.engine.client import EngineClient
from lorikeet.engine.errors import EngineError, Refused, Unreachable, Why


@dataclass(frozen=True)
class Deadlines:
    """Seconds: a load or unload has failed after `load`.

    A load without an answer may come true until `hold`, so its files stay.
    """

    load: float = 60.0
    hold: float = 600.0


class Calls:
    """Calls `engine`, tells `sight` what is old news, and writes failures down in `memory`. Each returns one line."""

    def __init__(self, engine: EngineClient, sight: Sight, memory: Memory, deadlines: Deadlines) -> None:
        self._engine, self._sight = engine, sight
        self._memory, self._deadlines = memory, deadlines

    async def load(self, load: Load) -> str:
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

    async def unload(self, name: str) -> str:
        try:
            async with asyncio.timeout(self._deadlines.load):
                await self._engine.unload(name)
        except TimeoutError:
            return self._balked(name, f"no answer within {self._deadlines.load:g} s")
        except EngineError as error:
            return self._balked(name, str(error))
        self._sight.called(name)
        return "done"

    def _balked(self, name: str, why: str) -> str:
        self._memory.balk(name, f"the engine does not unload {name}: {why[:500]}")
        self._sight.doubt(name)
        return f"failed: {why}"

    def _unanswered(self, load: Load, reason: Reason, said: str) -> str:
        self._memory.hold(load.key.uri, self._deadlines.hold)
        self._sight.doubt(load.name)
        return self._failed(load.key, reason, said, lasting=False)

    def _refused(self, load: Load, error: EngineError) -> str:
        self._sight.called(None)
        why = error.reason if isinstance(error, Refused) else None
        if why is Why.FILES_MISSING:
            self._memory.pins.pop(load.key.uri, None)  # bring them again
        said = error.message if isinstance(error, Refused) else str(error)
        said = f"the engine refuses it: {said[:500]}"
        return self._failed(load.key, Reason.LOAD_FAILED, said, lasting=why is Why.NOT_LOADABLE)

    def _failed(self, key: Key, reason: Reason, said: str, *, lasting: bool) -> str:
        problem = Problem(reason=reason, message=f"adapter {key.adapter}: {said}", lasting=lasting)
        self._memory.fail(key, "load", problem)
        return f"failed: {problem.message}"
