"""Connections to engines."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.pool import Pool


async def test_one_whose_machine_acknowledges_nothing_ends_long_before_an_answer_is_overdue(make_engine: Any) -> None:
    """P32. Else a request that was under way when the power went would wait for ten minutes."""
    limits = Limits()
    pool = Pool(limits, asyncio.get_running_loop())
    upstream = await pool.connect((await make_engine()).address)
    connection = upstream._transport.get_extra_info("socket")
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    given = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert given == limits.gone_seconds * 1000 < limits.first_byte_seconds * 1000
    upstream.close()
