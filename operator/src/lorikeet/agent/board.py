"""The state as the operator reads it: numbered, and waited for."""

from __future__ import annotations

import asyncio

from lorikeet.api.wire import AgentState


class Board:
    """Holds the newest AgentState. `life` names this life of the agent."""

    def __init__(self, life: str) -> None:
        self._state = AgentState(seq=1, life=life)
        self._turned = asyncio.Event()

    @property
    def state(self) -> AgentState:
        return self._state

    def post(self, state: AgentState) -> bool:
        """Show `state`; its seq and life are set here. Whether anything but those differs from the last one."""
        state = state.model_copy(update={"seq": self._state.seq, "life": self._state.life})
        if state == self._state:
            return False
        self._state = state.model_copy(update={"seq": state.seq + 1})
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()
        return True

    async def after(self, since: int, wait: float) -> AgentState:
        """The state as soon as its seq is not `since`, or after `wait` seconds.

        A `since` above our own seq was counted in another life of the agent: the answer is immediate.
        """
        try:
            async with asyncio.timeout(wait):
                while self._state.seq == since:
                    await self._turned.wait()
        except TimeoutError:
            pass
        return self._state
