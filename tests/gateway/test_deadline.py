"""Timers of a gateway whose machine stood still for a while."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.deadline import LATE, Deadline
from lorikeet.gateway.wire.pool import Pool
from lorikeet.gateway.wire.upstream import Unconnected, Upstream

STALL = LATE + 0.3


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


async def test_an_engine_that_took_the_connection_while_the_loop_stood_still_is_no_stranger(
    listener: socket.socket,
) -> None:
    connecting = asyncio.create_task(connect(listener, seconds=0.05))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(STALL)  # noqa: ASYNC251 - the whole process stands still
    (await connecting).close()


async def test_what_is_overdue_is_so_after_a_standstill_too() -> None:
    expired = asyncio.Event()
    Deadline(asyncio.get_running_loop(), expired.set).set(0.05)
    time.sleep(STALL)  # noqa: ASYNC251
    await asyncio.wait_for(expired.wait(), 5)


async def test_an_engine_that_takes_no_connection_is_given_up(listener: socket.socket) -> None:
    listener.listen(0)
    with socket.socket() as first, socket.socket() as second:  # they fill its queue
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        with pytest.raises(Unconnected):
            await connect(listener, seconds=0.2)


async def connect(listener: socket.socket, seconds: float) -> Upstream:
    host, port = listener.getsockname()
    return await Pool(Limits(connect_seconds=seconds), asyncio.get_running_loop()).connect(f"{host}:{port}")
