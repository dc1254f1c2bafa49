"""Which adapters are asked for most: what a new life of the engine should have first."""

from __future__ import annotations

from collections.abc import Iterable

HALF_LIFE = 600.0
"""Seconds after which a request counts half."""
SAMPLE = 10.0
"""Seconds between looks at who is busy; a look stands for so long at most."""
COLD = 0.01


class Heat:
    """Counts seconds for which each adapter had requests in flight, the latest most. `order` is an earlier life's."""

    def __init__(self, order: Iterable[str] = ()) -> None:
        names = tuple(order)
        self._heat = {name: SAMPLE * (len(names) - place) / len(names) for place, name in enumerate(names)}
        self._at: float | None = None

    def saw(self, now: float, busy: Iterable[str]) -> None:
        """At `now` these adapters had requests in flight."""
        passed = now - self._at if self._at is not None else SAMPLE
        self._at = now
        left = 0.5 ** (passed / HALF_LIFE)
        heat = {name: value * left for name, value in self._heat.items()}
        for name in busy:
            heat[name] = heat.get(name, 0.0) + min(passed, SAMPLE)
        self._heat = {name: value for name, value in heat.items() if value > COLD}

    @property
    def order(self) -> tuple[str, ...]:
        """The hottest first; without those that nobody asked for."""
        return tuple(sorted(self._heat, key=lambda name: (-self._heat[name], name)))
