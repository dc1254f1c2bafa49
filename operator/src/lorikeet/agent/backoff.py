"""How long to wait before the next try."""

from __future__ import annotations

from dataclasses import dataclass

ELSEWHERE = 600.0
"""Seconds between looks at a source that says no: only a change elsewhere helps, so six calls an hour at most."""


@dataclass(frozen=True)
class Backoff:
    """Seconds: doubles from `first` to `cap`, each stretched by up to half."""

    first: float = 0.05
    cap: float = 60.0

    def delay(self, attempts: int, asked: float | None, chance: float) -> float:
        """After `attempts` >= 1 failures. `asked` is a wait the other side asked for; `chance` is in [0, 1)."""
        own = min(self.cap, self.first * 2.0 ** min(attempts - 1, 30))
        return max(own, asked or 0.0) * (1 + chance / 2)
