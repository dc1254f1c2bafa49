"""What the kernel is told of connections to other machines; tests/e2e/test_misfortune.py pulls a real plug."""

from __future__ import annotations

import socket

import pytest

from lorikeet.keepalive import keep_alive


@pytest.mark.parametrize(("seconds", "between"), [(10, 2), (3, 1), (1, 1)])
def test_a_connection_at_rest_is_asked_for_often_enough_and_given_up_in_time(seconds: int, between: int) -> None:
    with socket.socket() as made:
        keep_alive(made, seconds)
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == between
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == between
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == seconds * 1000
