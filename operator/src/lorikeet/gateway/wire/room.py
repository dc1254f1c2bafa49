"""Memory for the bodies of requests that are being read and answered: bounded for all clients together."""

from __future__ import annotations


class Room:
    """Bytes that may be held at once. Whoever finds no room is told to come back, before the process runs out."""

    def __init__(self, size: int) -> None:
        self._free = size

    def take(self, size: int) -> bool:
        """Whether `size` more bytes may be held; if so, they are."""
        if size > self._free:
            return False
        self._free -= size
        return True

    def give_back(self, size: int) -> None:
        """These bytes are held no longer."""
        self._free += size
