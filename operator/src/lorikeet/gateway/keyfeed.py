"""Keeps the keys like the Secrets: one stream for each Secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from lorikeet.gateway.keys import Keys

Body = dict[str, Any]


class KeyFeed:
    """One Secret into the keys. `whole` once it has been looked at."""

    def __init__(
        self,
        keys: Keys,
        secret: str,
        bodies: AsyncIterator[Body | None],
        look: Callable[[], Awaitable[Body | None]],
    ) -> None:
        self._keys, self._secret, self._bodies, self._look = keys, secret, bodies, look
        self.whole = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether it is whole."""
        return self.whole.is_set()

    async def run(self) -> None:
        """Until the stream ends, which the API server's never does."""
        async for body in self._bodies:
            self.take(body)

    async def reload(self) -> None:
        """Look at the Secret now. Raises KubeError."""
        self.take(await self._look())

    def take(self, body: Body | None) -> None:
        """The Secret as it is now; None: there is none."""
        self._keys.put(self._secret, None if body is None else body.get("data") or {})
        self.whole.set()
