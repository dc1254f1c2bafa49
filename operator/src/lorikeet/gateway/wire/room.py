"""Memory for the bodies of requests that are being read and answered: bounded for all clients together, and shared."""

from __future__ import annotations


class Room:
    """Bytes that may be held at once. Whoever finds no room is told to come back, before the process runs out.

    Nobody may hold more than what is left for others: one holder fills at most half of it, the next half of the rest.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._held: dict[str, int] = {}

    @property
    def free(self) -> int:
        """What is left, in bytes."""
        return self._free

    def take(self, holder: str, size: int) -> bool:
        """Whether `holder` may hold `size` more bytes; if so, they are."""
        held = self._held.get(holder, 0) + size
        if held > self._free - size:
            return False
        self._free -= size
        self._held[holder] = held
        return True

    def give_back(self, holder: str, size: int) -> None:
        """These bytes are held no longer."""
        self._free += size
        self._held[holder] -= size
        if not self._held[holder]:
            del self._held[holder]
