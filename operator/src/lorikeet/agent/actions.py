"""What the agent can do: values that print as sentences."""

from __future__ import annotations

from dataclasses import dataclass

from lorikeet.agent.seen import Key


@dataclass(frozen=True)
class Fetch:
    key: Key

    def __str__(self) -> str:
        return f"fetch {self.key.adapter} from {self.key.uri}"


@dataclass(frozen=True)
class Load:
    key: Key
    name: str
    path: str

    def __str__(self) -> str:
        return f"load {self.name}"


@dataclass(frozen=True)
class Drain:
    name: str

    def __str__(self) -> str:
        return f"drain {self.name}"


@dataclass(frozen=True)
class Keep:
    name: str

    def __str__(self) -> str:
        return f"keep {self.name}, it is wanted again"


@dataclass(frozen=True)
class Unload:
    name: str

    def __str__(self) -> str:
        return f"unload {self.name}"


@dataclass(frozen=True)
class Remove:
    digest: str

    def __str__(self) -> str:
        return f"remove the files of {self.digest[:12]}"


@dataclass(frozen=True)
class GiveUp:
    digest: str

    def __str__(self) -> str:
        return f"give up the files of {self.digest[:12]}, which are only kept: others need their room"


Action = Fetch | Load | Drain | Keep | Unload | Remove | GiveUp
