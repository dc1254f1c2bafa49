"""Names for requests: ours, because a client could write another one's."""

from __future__ import annotations

import secrets


class RequestIds:
    """Different in each process and for each request, and cheap: some random digits and a count."""

    def __init__(self, life: str | None = None) -> None:
        self._life = (life or secrets.token_hex(8)).encode()
        self._count = 0

    def next(self) -> bytes:
        """The next one."""
        self._count += 1
        return b"req_%b%08x" % (self._life, self._count)
