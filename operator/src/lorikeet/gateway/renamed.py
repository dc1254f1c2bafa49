"""A reply under the name that the client wrote: the engine's own name exchanged in the bytes, nothing parsed.

A JSON string holds no bare quote, so `"model":` followed by the engine's name in quotes is the key `model` and its
value wherever it stands, and never a piece of content, where each quote has a backslash in front. Only a longer key
that ends in a quote and `model` looks alike at first; the byte before it tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

_KEY = b'"model"'
_LONGER_KEY = b'\\"model"'
_ERROR_EVENT = b'data: {"error"'


@lru_cache(4096)
def renaming(engine: bytes, client: bytes) -> Renaming:
    """The same one for the same names."""
    return Renaming(engine, client)


@dataclass(frozen=True, slots=True)
class Renaming:
    """From the engine's name to the client's spelling, both JSON strings in their quotes."""

    engine: bytes
    client: bytes
    longest: int = field(init=False, default=0)
    """Bytes of the longest thing that is exchanged; 0 where nothing is."""
    _spellings: tuple[tuple[bytes, bytes], ...] = field(init=False, default=())

    whole = False
    """A long answer may be translated in pieces."""

    def __post_init__(self) -> None:
        if self.engine == self.client:
            return
        gaps = (b":", b": ")  # pydantic's, and json's
        pairs = tuple((_KEY + gap + self.engine, _KEY + gap + self.client) for gap in gaps)
        object.__setattr__(self, "_spellings", pairs)
        object.__setattr__(self, "longest", len(pairs[-1][0]))

    def of(self, data: bytes) -> bytes:
        """A whole answer, or whole events."""
        if _LONGER_KEY in data:
            for old, new in self._spellings:
                data = re.sub(rb"(?<!\\)" + re.escape(old), lambda _: new, data)  # noqa: B023 - used at once
        else:
            for old, new in self._spellings:
                data = data.replace(old, new)
        return self._errors(data) if _ERROR_EVENT in data else data

    def _errors(self, events: bytes) -> bytes:
        each = events.split(b"\n\n")
        return b"\n\n".join(self.error(event) if event.startswith(_ERROR_EVENT) else event for event in each)

    def error(self, body: bytes) -> bytes:
        """An engine's error, whose sentence may name the version: only engine names of adapters have an @."""
        return body.replace(self.engine[1:-1], self.client[1:-1]) if b"@" in self.engine else body

    def held(self, data: bytes) -> int:
        """How many of the last bytes may be the beginning of what is exchanged, and must wait for the next piece."""
        if data[-1:] == b"\n" or any(data.endswith(old) for old, _ in self._spellings):  # no name has a line's end
            return 0
        place = len(data) - self.longest
        while (place := data.find(b'"', max(place + 1, 0))) >= 0:
            if any(old.startswith(data[place:]) for old, _ in self._spellings):
                return len(data) - max(place - 1, 0)  # with the byte before it, which may be a backslash
        return 0
