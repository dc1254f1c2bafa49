"""What the agent sees of its engine: which life it is, what it lists, whether it is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal

from lorikeet.engine.client import EngineClient
from lorikeet.engine.errors import EngineError

PATIENCE = 15.0
"""Seconds a busy engine may be too slow to answer before it counts as gone. A refused connection counts at once."""
CHECK, RELIST = 0.25, 10.0
"""Seconds between looks at boot and health, and between looks at the list when nothing is known to have changed."""
LIST_SHARE = 5.0
"""A list of thousands is slow: at most one part in so many of the time goes into listing."""
log = logging.getLogger(__name__)


class Sight:
    """Looks at one engine. `clock` is monotonic, in seconds."""

    def __init__(self, engine: EngineClient, clock: Callable[[], float]) -> None:
        self._engine, self._clock = engine, clock
        self.boot = ""
        self.state: Literal["Starting", "Healthy", "Unreachable"] = "Starting"
        self.listed: dict[str, str] | None = None
        self.busy: frozenset[str] | None = None
        """Engine names with requests in flight; None where the last look was not at them."""
        self._unchecked: dict[str, float] = {}
        self._stale = True
        self._checked_at = self._listed_at = self._answered_at = float("-inf")
        self._list_took = 0.0

    @property
    def unchecked(self) -> frozenset[str]:
        """Engine names whose load or unload has ended since the list was last asked for: it may say otherwise."""
        return frozenset(self._unchecked)

    @property
    def stale(self) -> bool:
        """Whether the list may be old news: look again soon."""
        return self._stale

    def called(self, name: str | None) -> None:
        """A load or unload has ended: the list is old news, above all about `name`, unless the engine said no."""
        self._stale = True
        if name is not None:
            self._unchecked[name] = self._clock()

    def doubt(self, name: str) -> None:
        """A load or unload went unanswered: look at once whether the engine is still there."""
        self.called(name)
        self._checked_at = float("-inf")

    async def look(self, requests: bool) -> bool:
        """Look where it is time to, and with `requests` at who is busy. Whether a new life of the engine was found."""
        new = False
        try:
            if self._clock() - self._checked_at >= CHECK:
                new = await self._check()
            if self.listed is None or self._list_due():
                await self._list()
            self.busy = (await self._engine.metrics()).busy if requests else None
        except EngineError as error:
            self._lost(error)
        return new

    async def _check(self) -> bool:
        """Raises EngineError."""
        boot = (await self._engine.boot()).id
        new = boot != self.boot
        if new:
            log.info("the engine is a new one: boot %s", boot)
            self.boot, self.listed, self._unchecked = boot, None, {}
        if await self._engine.health():
            self.state = "Healthy"
        elif new or self.state == "Healthy":
            self.state = "Starting" if new else "Unreachable"
        self._checked_at = self._answered_at = self._clock()
        return new

    def _list_due(self) -> bool:
        age = self._clock() - self._listed_at
        return age >= RELIST or (self._stale and age >= LIST_SHARE * self._list_took)

    async def _list(self) -> None:
        """Raises EngineError."""
        began = self._clock()
        self.listed = await self._engine.models()
        self._listed_at = self._answered_at = self._clock()
        self._list_took = self._listed_at - began
        # what ended while the list was on its way may be missing from it
        self._unchecked = {name: at for name, at in self._unchecked.items() if at >= began}
        self._stale = bool(self._unchecked)

    def _lost(self, error: EngineError) -> None:
        slow = isinstance(error.__cause__, TimeoutError | asyncio.TimeoutError)
        if slow and self._clock() - self._answered_at < PATIENCE:
            return
        if self.listed is not None or self.state == "Healthy":
            log.warning("the engine does not answer: %s", error)
        self.listed, self._unchecked, self.busy = None, {}, None
        self._stale = True
        self._checked_at = float("-inf")
        self.state = "Unreachable" if self.boot else "Starting"
