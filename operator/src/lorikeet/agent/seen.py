"""What the agent knows and sees at one moment: plain facts. `decide` and `report` look only here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

from lorikeet.agent.store import Staged
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import WantedAdapter


class Key(NamedTuple):
    """One version of one adapter."""

    adapter: str
    uri: str


@dataclass(frozen=True)
class Failure:
    """Why the last try of `step` failed, how often it did in a row, and when to try again (monotonic; None: never)."""

    step: Literal["fetch", "load"]
    problem: Problem
    attempts: int
    retry_at: float | None
    known: Staged | None = None
    """What the bytes turned out to be before they were refused."""


@dataclass(frozen=True)
class Call:
    """A load or unload under way, since when, and the digest it may make the engine read."""

    since: float
    digest: str = ""


@dataclass(frozen=True)
class Balk:
    """What could not be undone (an unload, a removal), why, how often in a row, and when to try again (monotonic)."""

    why: str
    attempts: int
    retry_at: float


@dataclass(frozen=True)
class Seen:
    """Everything `decide` and `report` look at."""

    now: float = 0.0
    store: Path = Path("/adapters/store")
    wanted: Mapping[Key, WantedAdapter] = field(default_factory=dict)
    staged: Mapping[Key, Staged] = field(default_factory=dict)
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    hottest: tuple[str, ...] = ()
    """Adapters' names, those asked for most first."""
    listed: Mapping[str, str] | None = None
    """Engine name → folder, as the engine says; None while it does not say."""
    busy: frozenset[str] | None = frozenset()
    """Engine names with requests in flight; None where nobody has looked."""
    draining: Mapping[str, float] = field(default_factory=dict)
    """Engine name → since when it is on its way out."""
    unchecked: frozenset[str] = frozenset()
    """Engine names whose load or unload has ended since the engine was last asked what it lists."""
    calling: Mapping[str, Call] = field(default_factory=dict)
    """By engine name."""
    balks: Mapping[str, Balk] = field(default_factory=dict)
    """By engine name or digest."""
    fetching: frozenset[Key] = frozenset()
    removing: frozenset[str] = frozenset()
    """Digests whose files are on their way out."""
    on_disk: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    """Digests whose load ended without an answer: it may still come true."""
    hung: bool = False
    """Whether the engine stands still: what is asked of it now would only wait."""
    told: bool = True
    """False while we never heard what is wanted: an empty memory is no reason to unload anything."""
    may_fetch: bool = True
    """False until the base model is there: adapters are checked against it."""

    def name(self, key: Key) -> str | None:
        """The engine name of a wanted, staged version."""
        staged = self.staged.get(key)
        return engine_name(key.adapter, staged.digest) if staged is not None and key in self.wanted else None

    def loads(self, key: Key) -> bool:
        """Whether `key` shall be loaded; what is wanted and shall not is only kept on disk."""
        return key in self.wanted and self.wanted[key].load

    def path(self, key: Key) -> str:
        return f"{self._folder}/{self.staged[key].digest}"

    def due(self, key: Key) -> bool:
        """Whether nothing that failed before says to wait."""
        failure = self.failures.get(key)
        return failure is None or (failure.retry_at is not None and failure.retry_at <= self.now)

    def superseded(self, name: str) -> bool:
        """Whether another version of the name's adapter shall be loaded."""
        return name not in self.targets and name.rpartition("@")[0] in self._loading

    def balked(self, what: str) -> bool:
        """Whether undoing it failed a moment ago."""
        return what in self.balks and self.balks[what].retry_at > self.now

    def ours(self, root: str) -> bool:
        return root.rpartition("/")[0] == self._folder

    @cached_property
    def _folder(self) -> str:
        return str(self.store)

    @cached_property
    def targets(self) -> Mapping[str, Key]:
        """Engine name → the version that shall be loaded under it."""
        keys = (key for key in sorted(self.wanted) if self.loads(key))
        return {name: key for key in keys if (name := self.name(key)) is not None}

    @cached_property
    def place(self) -> Mapping[str, int]:
        """Adapter → its place among the hottest."""
        return {adapter: place for place, adapter in enumerate(self.hottest)}

    @cached_property
    def _loading(self) -> frozenset[str]:
        return frozenset(key.adapter for key in self.targets.values())

    @cached_property
    def spare(self) -> tuple[str, ...]:
        """Digests on disk that are only kept, the largest first."""
        kept = {pin.digest: pin.bytes for key, pin in self.staged.items() if key in self.wanted and not self.loads(key)}
        used = {pin.digest for key, pin in self.staged.items() if self.loads(key)} | self.registered | self.held
        used |= {call.digest for call in self.calling.values()}
        left = [digest for digest in kept.keys() & self.on_disk - used if not self.balked(digest)]
        return tuple(sorted(left, key=lambda digest: (-kept[digest], digest)))

    @cached_property
    def registered(self) -> frozenset[str]:
        """Digests whose files the engine may read at any moment."""
        return frozenset(root.rpartition("/")[2] for root in (self.listed or {}).values() if self.ours(root))

    @cached_property
    def cramped(self) -> bool:
        """Whether something that shall be loaded finds no room on the disk."""
        failed = (key for key, failure in self.failures.items() if failure.problem.reason is Reason.NO_SPACE)
        return any(self.loads(key) for key in failed)
