"""Names that an adapter gave up and nobody asks for: it answers to them a moment longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

LINGER = 10.0
"""Seconds between the edit that takes a name from one adapter and the one that gives it to another."""


class Lingering:
    """Since when which names are nobody's. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[tuple[str, str], float] = {}

    def still(self, uid: str, names: Iterable[str]) -> frozenset[str]:
        """Those of `names` that object `uid` gave up no longer than a moment ago. All it has given up must be named."""
        found = {(uid, name) for name in names}
        for key in [key for key in self._since if key[0] == uid and key not in found]:
            del self._since[key]
        now = self._clock()
        return frozenset(name for uid, name in found if now - self._since.setdefault((uid, name), now) < LINGER)

    def due(self) -> float | None:
        """Seconds until the next one has lingered enough; None where none does."""
        now = self._clock()
        return min((rest for since in self._since.values() if (rest := since + LINGER - now) > 0), default=None)

    def keep_only(self, uids: Iterable[str]) -> None:
        """Forget other objects."""
        known = set(uids)
        self._since = {key: since for key, since in self._since.items() if key[0] in known}
