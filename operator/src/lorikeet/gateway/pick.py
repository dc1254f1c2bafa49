"""Which replica: the one with the least requests of ours in flight, those in doubt last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from lorikeet.gateway.catalog import Target

DOUBT_SECONDS = 1.0
"""How long a row that proved wrong stands back: by then a newer status has usually come."""


class Picker:
    """What this gateway knows by its own traffic: requests in flight, and rows that just failed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_flight: Counter[str] = Counter()
        self._doubts: dict[Target, float] = {}

    def pick(self, targets: Iterable[Target], tried: Iterable[Target] = ()) -> Target | None:
        """The best of `targets` that is not in `tried`.

        Doubted rows come last but are not left out: where all are in doubt, one of them is still the best guess. Ties
        go by `Target.turn`, which differs between adapters: an idle gateway keeps each adapter on one replica (warm
        slot, warm prefix cache) and spreads adapters over replicas.
        """
        now, tried = self._clock(), frozenset(tried)
        left = (target for target in targets if target not in tried)
        return min(left, key=lambda target: self._rank(target, now), default=None)

    def doubt(self, target: Target) -> None:
        """`target` just failed before it answered: prefer others for a moment."""
        now = self._clock()
        self._doubts = {other: until for other, until in self._doubts.items() if until > now}
        self._doubts[target] = now + DOUBT_SECONDS

    @contextmanager
    def in_flight(self, target: Target) -> Iterator[None]:
        """One request at `target`, for as long as the block lasts."""
        self._in_flight[target.address] += 1
        try:
            yield
        finally:
            self._in_flight[target.address] -= 1
            if not self._in_flight[target.address]:
                del self._in_flight[target.address]

    def _rank(self, target: Target, now: float) -> tuple[bool, int, int, str]:
        doubted = bool(self._doubts) and self._doubts.get(target, 0.0) > now
        return doubted, self._in_flight[target.address], target.turn, target.pod
