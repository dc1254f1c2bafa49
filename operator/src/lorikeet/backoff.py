"""How long to wait before the next try: one rule for everything that is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

ELSEWHERE = 600.0
"""Seconds between looks at a source that says no: only a change elsewhere helps, so six calls an hour at most."""


@dataclass(frozen=True)
class Backoff:
    """Seconds: doubles from `first` to `cap`, each stretched by up to half, so that many do not come back together."""

    first: float = 0.05
    cap: float = 60.0

    def delay(self, attempts: int, asked: float | None, chance: float) -> float:
        """After `attempts` >= 1 failures. `asked` is a wait the other side asked for; `chance` is in [0, 1)."""
        own = min(self.cap, self.first * 2.0 ** min(attempts - 1, 30))
        return max(own, asked or 0.0) * (1 + chance / 2)


class Tries:
    """The failures in a row of one thing. Waits are lengths of time: no clock is asked, so none can jump."""

    def __init__(self, backoff: Backoff, chance: Callable[[], float] = random.random) -> None:
        self._backoff, self._chance = backoff, chance
        self._failures = 0

    def failed(self) -> float:
        """One more failure. Returns seconds until the next try."""
        self._failures += 1
        return self._backoff.delay(self._failures, None, self._chance())

    def succeeded(self) -> None:
        """The next failure is a first one."""
        self._failures = 0
