"""An event loop whose time is its own."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

TICK = 1e-6
"""Seconds: what a float may lose on the way to a timer's moment."""


class Idle(RuntimeError):
    """Nobody will ever wake up again."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Time stands still while anything runs, and jumps when nothing does. Work for threads is done on the spot."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Jumping(self))
        self.set_default_executor(_OnTheSpot())

    def time(self) -> float:
        return self.now


class _Jumping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise Idle("every task waits for something that nobody does")
        if not ready and timeout and timeout > 0:
            self._loop.now += timeout + TICK
        return ready


class _OnTheSpot(ThreadPoolExecutor):
    def submit(self, call: Callable[..., Any], /, *arguments: Any, **more: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **more))
        except Exception as error:  # whoever waits for the result gets it
            done.set_exception(error)
        return done
