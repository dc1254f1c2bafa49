"""Whether the engine moves: requests wait for it and its counters stand still, or they do not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rhythm:
    """Seconds."""

    quiet: float = 2.0
    """A request that has had no word of the engine for so long counts as waiting."""
    still: float = 20.0
    """Counters that stand still so long while somebody waits are a hang."""
    gap: float = 5.0
    """Without anybody waiting for so long it starts from nothing; clients that give up and ask again leave gaps."""
    beat: float = 1.0
    """Between two looks at the counters."""


class Pulse:
    """Of one life of the engine. Without a request that waits nothing is concluded from counters.

    A verdict stands until the counters move: clients go away from an engine that hangs, which is no sign of life.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self._rhythm = rhythm
        self.hung = False
        self._work: float | None = None
        self._still_since: float | None = None
        self._waited_at = self._beaten_at = float("-inf")

    def due(self, now: float, quiet_for: float) -> bool:
        """Whether to look at the counters; `quiet_for` is how long some request has had no word of the engine."""
        watching = self._still_since is not None or self.hung
        return (quiet_for >= self._rhythm.quiet or watching) and now - self._beaten_at >= self._rhythm.beat

    def beat(self, now: float, quiet_for: float, work: float | None) -> None:
        """Take in a look at the counters, which add up to `work`; None where the engine does not count."""
        self._beaten_at = now
        waiting = quiet_for >= self._rhythm.quiet
        if waiting:
            self._waited_at = now
        if work is None or work != self._work:  # it moved, or nobody counts
            self._work, self.hung = work, False
            self._still_since = now if waiting and work is not None else None
        elif now - self._waited_at > self._rhythm.gap:
            self._still_since = None
        elif waiting:
            self._still_since = now if self._still_since is None else self._still_since
            self.hung = self.hung or now - self._still_since >= self._rhythm.still
