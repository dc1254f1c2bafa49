"""What can go wrong between us and an engine: each class says what to do next."""

from __future__ import annotations

from enum import StrEnum


class EngineError(Exception):
    """Any failure of a call to an engine."""


class Unreachable(EngineError):
    """No answer, or an answer that says "not now": try again later."""


class Why(StrEnum):
    """Why an engine refused: the same request will be refused again."""

    FILES_MISSING = "FilesMissing"  # the engine finds no adapter in the folder it was given
    NAME_TAKEN = "NameTaken"  # the name stands for other bytes, or for the base model
    NOT_LOADABLE = "NotLoadable"  # the engine read the files and cannot use them (rank, modules, DoRA, ...)
    UNAUTHORIZED = "Unauthorized"  # the guard does not know our token
    INVALID = "Invalid"  # the request itself


class Refused(EngineError):
    """The engine understood and said no. `reason` is for code, `message` is the engine's own sentence."""

    def __init__(self, reason: Why, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason, self.message = reason, message


class Unknown(EngineError):
    """An answer no version of vLLM we know gives. What the engine lists did not settle it either."""
