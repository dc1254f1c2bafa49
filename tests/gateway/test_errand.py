"""A coroutine that goes on at once wherever what it waits for happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lorikeet.gateway.wire.errand import Errand, Promise


def errand(coroutine: object, done: Callable[[], None] = lambda: None) -> Errand:
    started = Errand(coroutine, asyncio.get_running_loop(), done)  # type: ignore[arg-type]
    started.start()
    return started


async def test_it_goes_on_before_the_call_that_keeps_the_promise_returns() -> None:
    promise: Promise[int] = Promise()
    seen: list[object] = []

    async def work() -> None:
        seen.append("began")
        seen.append(await promise)

    errand(work())
    assert seen == ["began"]
    promise.keep(7)
    assert seen == ["began", 7]


async def test_a_promise_that_is_breached_raises_and_a_second_word_counts_nothing() -> None:
    promise: Promise[int] = Promise()
    seen: list[str] = []

    async def work() -> None:
        try:
            await promise
        except OSError as error:
            seen.append(str(error))

    errand(work())
    promise.breach(OSError("gone"))
    promise.keep(1)
    promise.breach(OSError("again"))
    assert seen == ["gone"]


async def test_it_waits_for_futures_tasks_and_turns_of_the_loop_too() -> None:
    loop = asyncio.get_running_loop()
    future, done = loop.create_future(), asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        assert await future == 1
        assert await loop.create_task(asyncio.sleep(0, 2)) == 2
        done.set()

    errand(work())
    loop.call_soon(future.set_result, 1)
    await asyncio.wait_for(done.wait(), 5)


@pytest.mark.parametrize("kind", ["promise", "future"])
async def test_cancelled_it_ends_where_it_waits(kind: str) -> None:
    awaited = Promise() if kind == "promise" else asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await awaited
        except asyncio.CancelledError:
            ended.set()
            raise

    errand(work()).cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert awaited.cancelled()


async def test_cancelled_in_the_moment_in_which_it_could_go_on_it_does_not() -> None:
    future, seen, ended = asyncio.get_running_loop().create_future(), [], asyncio.Event()

    async def work() -> None:
        try:
            seen.append(await future)
        except asyncio.CancelledError:
            ended.set()
            raise

    started = errand(work())
    future.set_result(1)
    started.cancel()
    await asyncio.wait_for(ended.wait(), 5)
    assert not seen


async def test_what_it_raises_is_raised_where_it_was_going_on() -> None:
    promise: Promise[int] = Promise()

    async def work() -> None:
        raise ValueError(await promise)

    errand(work())
    with pytest.raises(ValueError, match="3"):
        promise.keep(3)


async def test_a_task_may_await_a_promise_as_any_future() -> None:
    promise: Promise[int] = Promise()
    task = asyncio.create_task(asyncio.wait_for(promise, 5))
    await asyncio.sleep(0)
    promise.keep(5)
    assert await task == 5


@pytest.mark.parametrize("end", ["well", "cancelled", "broken"])
async def test_whoever_waits_for_its_end_hears_of_it_once_however_it_ends(end: str) -> None:
    promise: Promise[None] = Promise()
    heard: list[str] = []

    async def work() -> None:
        await promise

    started = errand(work(), lambda: heard.append(end))
    assert heard == []
    if end == "well":
        promise.keep(None)
    elif end == "cancelled":
        started.cancel()
    else:
        with pytest.raises(ZeroDivisionError):
            promise.breach(ZeroDivisionError())
    assert heard == [end]
