"""The head of a client's last request, by which the next one is known.

A client writes the same head again and again, but for the length of the body. What was read and checked of it then
holds for the next one that comes in the same bytes: only the body is new.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST = 2048
"""Bytes of a head that is remembered: there is one for each client."""
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """`before` and `after` the digits of the body's length, as they came; and what was read of them."""

    before: bytes
    after: bytes
    method: bytes
    target: bytes
    headers: Mapping[bytes, bytes]
    """Without the length, which is the last request's own."""

    def frame(self, data: bytes) -> tuple[int, int] | None:
        """Where the body begins in `data` and where it will end, if `data` begins with this head and any length."""
        start = len(self.before)
        if not data.startswith(self.before):
            return None
        stop = data.find(b"\r", start, start + 10)
        length = data[start:stop]
        if not data.startswith(self.after, stop) or not length.isdigit():
            return None
        body = stop + len(self.after)
        return body, body + int(length)


def head_of(data: bytes, method: bytes, target: bytes, headers: Mapping[bytes, bytes]) -> Head | None:
    """The head that `data`, a good request or its beginning, begins with; None for one that is not worth it."""
    end = data.find(_END, 0, LONGEST) + len(_END)
    length = _LENGTH.search(data, 0, end)
    if length is None or b"expect" in headers:
        return None
    start, stop = length.span(1)
    fields = {name: value for name, value in headers.items() if name != b"content-length"}
    return Head(data[:start], data[stop:end], method, target, fields)
