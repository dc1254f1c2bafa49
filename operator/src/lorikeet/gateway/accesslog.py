"""One line of JSON about some requests: who asked what of whom, and how it went; never a prompt, an answer or a key."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from lorikeet.gateway.quota import Bucket

log = logging.getLogger("lorikeet.access")

LINES_A_SECOND = 50.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, when it is over. Seconds from its start."""

    request: str
    tenant: str
    key: str
    model: str
    replica: str
    status: int
    seconds: float
    first: float | None
    queued: float
    tokens_in: int
    tokens_out: int
    complete: bool


class AccessLog:
    """`share` of the requests that went well, and each that did not; but never more than so many lines a second."""

    def __init__(
        self,
        share: float = 0.0,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._share, self._chance, self._clock = share, chance, clock
        self._lines = Bucket(LINES_A_SECOND, LINES_A_SECOND, clock())

    def wants(self, status: int, complete: bool) -> bool:
        """Whether to tell of a request that ended so."""
        if complete and status < 500 and self._chance() >= self._share:
            return False
        return self._lines.refill(self._clock()) >= 1

    def tell(self, entry: Entry) -> None:
        """Write the line."""
        self._lines.take(1)
        log.info("%s", orjson.dumps(entry).decode())
