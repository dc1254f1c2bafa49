"""A timer that is cheap to move: one is moved for each piece of each reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LATE, SECOND_CHANCE = 0.5, 0.1
"""Seconds. Where the loop comes so late to a timer, it stood still itself (a throttled or paused machine): what came
meanwhile, a connection say, takes a few of its turns to arrive."""


class Deadline:
    """Calls `expired` once the time last set has passed. The loop's timer is only re-armed when it fires."""

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self._loop, self._expired = loop, expired
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        """Expire `seconds` from now instead of when was said before."""
        self._at = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._at:
            self._arm(self._at)

    def clear(self) -> None:
        """Do not expire."""
        self._at = None

    def close(self) -> None:
        """Never expire, and hold nothing."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._fire)

    def _fire(self) -> None:
        self._timer = None
        if self._at is None:
            return
        now = self._loop.time()
        if now - self._at > LATE:
            self._at = now + SECOND_CHANCE
        if self._at > now:
            self._arm(self._at)
            return
        self._at = None
        self._expired()


@asynccontextmanager
async def within(loop: asyncio.AbstractEventLoop, seconds: float) -> AsyncIterator[None]:
    """The block ends within `seconds`, or raises TimeoutError."""
    async with asyncio.timeout(None) as limit:
        deadline = Deadline(loop, lambda: limit.reschedule(loop.time()))
        deadline.set(seconds)
        try:
            yield
        finally:
            deadline.close()
