"""What the agent sees of its engine: which life it is, what it lists, whether it is well."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

from lorikeet.agent.heat import SAMPLE
from lorikeet.agent.pulse import Pulse, Rhythm
from lorikeet.engine.client import Boot, EngineClient
from lorikeet.engine.errors import EngineError

PATIENCE = 15.0
"""Seconds a busy engine may be too slow to answer before it counts as gone. A refused connection counts at once."""
CHECK, RELIST = 0.25, 10.0
"""Seconds between looks at boot and health, and between looks at the list when nothing is known to have changed."""
LIST_SHARE = 5.0
"""A list of thousands is slow: at most one part in so many of the time goes into listing."""
AMONG_LOADS = 0.5
"""Seconds between looks at the list while one load follows the other."""
log = logging.getLogger(__name__)


class Glimpse(NamedTuple):
    """What there was to see at one look. Another list counts as news, whatever is in it."""

    state: str
    boot: str
    listed_at: float
    unchecked: frozenset[str]
    busy: frozenset[str] | None
    hung: bool


class Sight:
    """Looks at one engine. `clock` is monotonic, in seconds."""

    def __init__(self, engine: EngineClient, clock: Callable[[], float], rhythm: Rhythm) -> None:
        self._engine, self._clock, self._rhythm = engine, clock, rhythm
        self._life = Boot("", 0.0)
        self._pulse = Pulse(rhythm)
        self.state: Literal["Starting", "Healthy", "Unreachable", "Hung"] = "Starting"
        self.listed: dict[str, str] | None = None
        self.busy: frozenset[str] | None = None
        """Engine names with requests in flight; None where the last look was not at them."""
        self._unchecked: dict[str, float] = {}
        self._stale = True
        self._checked_at = self._listed_at = self._answered_at = self._measured_at = float("-inf")
        self._list_took = 0.0

    @property
    def boot(self) -> str:
        """The engine's life; empty before the first answer."""
        return self._life.id

    @property
    def hung(self) -> bool:
        """Whether requests wait for this life of the engine and it does not move."""
        return self._pulse.hung

    @property
    def unchecked(self) -> frozenset[str]:
        """Engine names whose load or unload has ended since the list was last asked for: it may say otherwise."""
        return frozenset(self._unchecked)

    @property
    def stale(self) -> bool:
        """Whether the list may be old news: look again soon."""
        return self._stale

    @property
    def glimpse(self) -> Glimpse:
        """All that is seen now."""
        listed_at = self._listed_at if self.listed is not None else float("-inf")
        return Glimpse(self.state, self.boot, listed_at, self.unchecked, self.busy, self.hung)

    def called(self, name: str | None) -> None:
        """A load or unload has ended: the list is old news, above all about `name`, unless the engine said no."""
        self._stale = True
        if name is not None:
            self._unchecked[name] = self._clock()

    def doubt(self, name: str) -> None:
        """A load or unload went unanswered: look at once whether the engine is still there."""
        self.called(name)
        self._checked_at = float("-inf")

    async def look(self, requests: bool, loading: bool = False) -> bool:
        """Look where it is time to, and with `requests` at who is busy. Whether a new life of the engine was found.

        `loading`: loads alone are asked for, one after the other; the next one need not wait for a look at the last.
        """
        new = False
        try:
            if self._clock() - self._checked_at >= CHECK:
                new = await self._check()
            if self.listed is None or self._list_due(loading):
                await self._list()
            await self._measure(requests)
        except EngineError as error:
            self._lost(error)
        return new

    async def _check(self) -> bool:
        """Raises EngineError."""
        life = await self._engine.boot()
        new = life.id != self.boot
        if new:
            log.info("the engine is a new one: boot %s", life.id)
            self.listed, self._unchecked, self._pulse = None, {}, Pulse(self._rhythm)
        self._life = life
        self._judge(await self._engine.health(), new)
        self._checked_at = self._answered_at = self._clock()
        return new

    def _judge(self, healthy: bool, new: bool) -> None:
        """Its own word, but for the verdict that it hangs, because of which its word is no."""
        if self._pulse.hung:
            self.state = "Hung"
        elif healthy:
            self.state = "Healthy"
        elif new or self.state == "Healthy":
            self.state = "Starting" if new else "Unreachable"

    async def _measure(self, requests: bool) -> None:
        """Raises EngineError."""
        self.busy = None
        now, quiet_for = self._clock(), self._life.quiet_for
        sample = self._life.in_flight > 0 and now - self._measured_at >= SAMPLE
        if not (requests or sample or self._pulse.due(now, quiet_for)):
            return
        seen = await self._engine.metrics()
        self.busy, self._measured_at = seen.busy, now
        was = self._pulse.hung
        self._pulse.beat(now, quiet_for, seen.work)
        if self._pulse.hung:
            self.state = "Hung"
        if was != self._pulse.hung:
            log.warning("the engine %s", "moves again" if was else "hangs: requests wait and its counters stand still")

    def _list_due(self, loading: bool) -> bool:
        age = self._clock() - self._listed_at
        pause = max(LIST_SHARE * self._list_took, AMONG_LOADS if loading else 0.0)
        return age >= RELIST or (self._stale and age >= pause)

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
