"""What can be scripted to go wrong at a hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    """Which way a reply goes wrong."""

    STATUS = auto()
    """The HTTP status of the fault instead of an answer."""
    TRUNCATE = auto()
    """The connection ends after half of the body."""
    DRIP = auto()
    """One byte every `pause` seconds."""
    FLIP = auto()
    """One bit in the middle of the body is another."""
    HANG = auto()
    """No answer at all while the hub lives."""


@dataclass
class Fault:
    """Goes wrong on the next `times` requests whose `METHOD /path` matches `where` (a regular expression)."""

    kind: Kind
    where: str = "GET .*/resolve/"
    times: int = 1
    status: int = 500
    headers: tuple[tuple[str, str], ...] = ()
    pause: float = 0.01

    def takes(self, request: str) -> bool:
        """Whether it strikes now; counts down."""
        if self.times <= 0 or re.match(self.where, request) is None:
            return False
        self.times -= 1
        return True
