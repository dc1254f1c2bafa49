"""One child process that never outlives us."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_TIMEOUT = 10.0
"""Seconds from SIGTERM to SIGKILL."""


class Failed(RuntimeError):
    """A process ended, or was not ready in time; the message ends with its last lines."""


class Process:
    """A program with a log file. The kernel kills it when the thread that started it ends (setpriv --pdeathsig)."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as sink:
            self._child = subprocess.Popen(  # noqa: S603 - our own binaries
                ["setpriv", "--pdeathsig", "KILL", "--", *command],  # noqa: S607 - of util-linux, wherever it is
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready()`; raises Failed if the process ends or the time does."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._child.poll() is not None:
                raise Failed(f"{self.name} ended with status {self._child.returncode}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} was not ready after {seconds:.0f} s:\n{self._tail()}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """The process; whatever stands before the program in its command has become it."""
        return self._child.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, such as SIGSTOP to play dead."""
        self._child.send_signal(number)

    def stop(self, seconds: float = STOP_TIMEOUT) -> None:
        """End it: politely, and after `seconds` not. Returns when it is gone."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
            self._child.terminate()
            try:
                self._child.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End it as a power cut would."""
        self._child.kill()
        self._child.wait()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
