"""What can happen to one call."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Each strikes one call, once."""

    KILL_BEFORE = "kill-before"
    """The caller dies before the call is heard."""
    KILL_AFTER = "kill-after"
    """The caller dies once the call has been carried out, and never hears so."""
    LOST_REPLY = "lost-reply"
    """The call is carried out, and the connection breaks in place of an answer."""
    CONFLICT = "409"
    TOO_MANY = "429"
    """With `Retry-After: 1`."""
    ERROR = "500"
    RESET = "reset"
    """The connection breaks and nothing is carried out."""
    STALL = "stall"
    """Nothing is carried out and nothing is answered, until the caller gives up by itself."""


STATUS = {Fault.CONFLICT: 409, Fault.TOO_MANY: 429, Fault.ERROR: 500}
"""The faults that are an answer."""
DEADLY = frozenset({Fault.KILL_BEFORE, Fault.KILL_AFTER})
UNHEARD = frozenset({Fault.KILL_AFTER, Fault.LOST_REPLY})
"""The faults that let the call be carried out."""
