"""A coroutine that goes on at once wherever what it waits for happens.

A task of asyncio begins, and goes on after each wait, in a later turn of its loop. Between two reads of a socket that
costs as much as the rest of a relay. An errand begins in the call that starts it, and goes on in the call that keeps a
`Promise`: a request whose reply comes in one piece is answered in two calls, with no turn of the loop in between.

It is no task: what needs one (`asyncio.timeout`) must be awaited as a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Promise(asyncio.Future[T]):
    """A future whose errand goes on before `keep` or `breach` return. Awaited by a task it is like any other."""

    goes_on: Callable[[], None] | None = None

    def keep(self, value: T) -> None:
        """It has come."""
        if not self.done():
            self.set_result(value)
            self._go_on()

    def breach(self, error: Exception) -> None:
        """It will not come."""
        if not self.done():
            self.set_exception(error)
            self._go_on()

    def cancel(self, msg: Any | None = None) -> bool:
        """Nobody waits any longer."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._go_on()
        return cancelled

    def _go_on(self) -> None:
        goes_on, self.goes_on = self.goes_on, None
        if goes_on is not None:
            goes_on()


class Errand:
    """One coroutine's run, and `done` after it. What it raises, but for its cancellation, is raised where it was
    going on."""

    __slots__ = ("_cancelled", "_coroutine", "_done", "_loop", "_waits_for")

    def __init__(
        self, coroutine: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop, done: Callable[[], None]
    ) -> None:
        self._coroutine, self._loop, self._done = coroutine, loop, done
        self._waits_for: asyncio.Future[Any] | None = None
        self._cancelled = False

    def start(self) -> None:
        """Go as far as it goes."""
        self._step()

    def cancel(self) -> None:
        """Raise CancelledError where it waits."""
        if self._waits_for is None or not self._waits_for.cancel():
            self._cancelled = True

    def _step(self, _: object = None) -> None:
        self._waits_for = None
        try:
            if self._cancelled:
                self._cancelled = False
                waits_for = self._coroutine.throw(asyncio.CancelledError())
            else:
                waits_for = self._coroutine.send(None)
        except (StopIteration, asyncio.CancelledError):
            self._done()
        except BaseException:
            self._done()
            raise
        else:
            self._wait_for(waits_for)

    def _wait_for(self, future: Any) -> None:
        if future is None:  # a bare yield: asyncio.sleep(0)
            self._loop.call_soon(self._step)
            return
        future._asyncio_future_blocking = False  # how a future says that it is waited for, and we that we know
        self._waits_for = future
        if isinstance(future, Promise):
            future.goes_on = self._step
        else:
            future.add_done_callback(self._step)
        if self._cancelled:
            future.cancel()
