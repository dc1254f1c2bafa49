"""What a pass may do. Each action is a value that prints as a sentence: for the log, a test's name, a dry run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorikeet.api.ref import Ref
from lorikeet.api.wire import Wanted
from lorikeet.kube.resource import Resource


@dataclass(frozen=True)
class Apply:
    """Make a child object what it shall be."""

    resource: Resource
    ref: Ref
    body: Mapping[str, Any]

    def __str__(self) -> str:
        return f"apply {self.resource.kind} {self.ref}"


@dataclass(frozen=True)
class Resolve:
    """Ask some replica's agent which revision a source means, until one answers."""

    adapter: Ref
    uid: str
    uri: str
    credentials_key: str | None

    def __str__(self) -> str:
        return f"ask what {self.uri} means for {self.adapter.name}"


@dataclass(frozen=True)
class Push:
    """Tell one replica everything it shall hold."""

    pod: str
    wanted: Wanted

    def __str__(self) -> str:
        names = ", ".join(sorted({entry.adapter for entry in self.wanted.adapters})) or "no adapters"
        return f"want {names} on {self.pod}"


Action = Apply | Resolve | Push


@dataclass(frozen=True)
class Plan:
    """Everything a pass wants done, in order."""

    actions: tuple[Action, ...] = ()

    def __str__(self) -> str:
        return "; ".join(map(str, self.actions)) or "nothing to do"
