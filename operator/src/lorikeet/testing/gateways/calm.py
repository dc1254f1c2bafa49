"""One client in a process of its own, so that it measures the gateway and not its neighbours.

`python3 -m lorikeet.testing.gateways.calm PORT KEY RATE`

A line for each answer: when it was due by the machine's steady clock, seconds from then until it was there, its status.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from lorikeet.testing.apiserver.process import Process
from lorikeet.testing.gateways.process import GatewayProcess
from lorikeet.testing.gateways.slow import request


@dataclass(frozen=True)
class Answer:
    """One line."""

    due: float
    seconds: float
    status: int


class Calm:
    """Its process, and what it said so far."""

    def __init__(self, gateway: GatewayProcess, key: str, rate: float, log: Path) -> None:
        self._log = log
        words = [str(word) for word in (gateway.port, key, rate)]
        self._process = Process("calm", [sys.executable, "-m", "lorikeet.testing.gateways.calm", *words], log)

    def answers(self, begin: float = 0.0, end: float = float("inf")) -> list[Answer]:
        """Those that were due between two times of `time.monotonic`."""
        lines = self._log.read_text().rpartition("\n")[0].splitlines()
        found = [Answer(float(due), float(seconds), int(status)) for due, seconds, status in map(str.split, lines)]
        return [answer for answer in found if begin <= answer.due < end]

    def end(self) -> None:
        """Ask no more."""
        self._process.kill()


async def ask(port: int, key: str, rate: float) -> None:
    """For ever, one after the other. Who waits for an answer is late with the next question, which counts."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = request(b'{"model":"sql","prompt":"hi"}', key)
    due = time.monotonic()
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        writer.write(message)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        print(due, time.monotonic() - due, head.split(b" ")[1].decode(), flush=True)
        due += 1 / rate


if __name__ == "__main__":
    uvloop.run(ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
