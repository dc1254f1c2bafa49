"""The state as the operator reads it: numbered, and waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

from lorikeet.api.wire import AdapterState, AgentState


class Board:
    """Holds the newest AgentState. `life` names this life of the agent; `today` dates what changes, for people."""

    def __init__(self, life: str, today: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._today = today
        self._state = AgentState(seq=1, life=life)
        self._turned = asyncio.Event()
        self._posted = asyncio.Event()

    @property
    def state(self) -> AgentState:
        return self._state

    def post(self, state: AgentState) -> bool:
        """Show `state`; its seq and life, and since when each row is so, are set here. Whether anything else is new."""
        self._posted.set()
        rows = self._dated(state.adapters)
        state = state.model_copy(update={"seq": self._state.seq, "life": self._state.life, "adapters": rows})
        if state == self._state:
            return False
        self._state = state.model_copy(update={"seq": state.seq + 1})
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()
        return True

    async def after(self, since: int, wait: float) -> AgentState:
        """The state as soon as its seq is not `since`, or after `wait` seconds.

        A `since` above our own seq was counted in another life of the agent: the answer is immediate. Before the first
        look at the engine there is nothing to say: an agent that was only restarted must not deny what is loaded.
        """
        await self._posted.wait()
        try:
            async with asyncio.timeout(wait):
                while self._state.seq == since:
                    await self._turned.wait()
        except TimeoutError:
            pass
        return self._state

    def _dated(self, rows: tuple[AdapterState, ...]) -> tuple[AdapterState, ...]:
        """A row keeps its `since` while its state stays."""
        before = {(row.adapter, row.uri): row for row in self._state.adapters}
        now = self._today().strftime("%Y-%m-%dT%H:%M:%SZ")

        def dated(row: AdapterState) -> AdapterState:
            old = before.get((row.adapter, row.uri))
            return row.model_copy(update={"since": old.since if old is not None and old.state == row.state else now})

        return tuple(dated(row) for row in rows)
