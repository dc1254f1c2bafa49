"""Connections whose other machine may lose its power: nobody says farewell then, and silence alone may be work."""

from __future__ import annotations

import socket
from typing import Protocol


class Options(Protocol):
    """What is asked of a socket; event loops show theirs as something that can do little more."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def keep_alive(connection: Options, seconds: int) -> None:
    """Have the kernel break `connection` when the other kernel acknowledged nothing for `seconds`, at rest or asked.

    A process that is busy, stopped or slow has a kernel that answers for it: only a machine or the way to it is missed.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        connection.setsockopt(socket.IPPROTO_TCP, option, max(1, seconds // 4))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)
