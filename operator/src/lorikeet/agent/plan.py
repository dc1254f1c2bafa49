"""What to do next: facts about wanted set, disk and engine in, actions out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Literal

from lorikeet.agent.store import Staged
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import WantedAdapter


@dataclass(frozen=True, order=True)
class Key:
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
class Policy:
    """Seconds and counts."""

    grace: float = 3.0
    """A gateway may still hold a table with the old version this long."""
    drain: float = 60.0
    """Then requests have until this long after the start of the drain to end."""
    fetches: int = 4


@dataclass(frozen=True)
class Seen:
    """Everything `decide` and `report` look at."""

    now: float = 0.0
    store: Path = Path("/adapters/store")
    wanted: Mapping[Key, WantedAdapter] = field(default_factory=dict)
    staged: Mapping[Key, Staged] = field(default_factory=dict)
    failures: Mapping[Key, Failure] = field(default_factory=dict)
    listed: Mapping[str, str] | None = None
    """Engine name → folder, as the engine says; None while it does not say."""
    busy: frozenset[str] = frozenset()
    """Engine names with requests in flight."""
    draining: Mapping[str, float] = field(default_factory=dict)
    """Engine name → since when it is on its way out."""
    confirmed: frozenset[str] = frozenset()
    """Engine names whose load or unload the engine confirmed after it was last asked what it lists."""
    calling: frozenset[str] = frozenset()
    """Engine names with a load or unload under way."""
    fetching: frozenset[Key] = frozenset()
    on_disk: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    """Digests whose load ended without an answer: it may still come true."""
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
        return f"{self.store}/{self.staged[key].digest}"

    def due(self, key: Key) -> bool:
        """Whether nothing that failed before says to wait."""
        failure = self.failures.get(key)
        return failure is None or (failure.retry_at is not None and failure.retry_at <= self.now)

    def ours(self, root: str) -> bool:
        return root.rpartition("/")[0] == str(self.store)

    @cached_property
    def targets(self) -> Mapping[str, Key]:
        """Engine name → the version that shall be loaded under it."""
        keys = (key for key in sorted(self.wanted) if self.loads(key))
        return {name: key for key in keys if (name := self.name(key)) is not None}

    @cached_property
    def spare(self) -> tuple[str, ...]:
        """Digests on disk that are only kept, the largest first."""
        kept = {pin.digest: pin.bytes for key, pin in self.staged.items() if key in self.wanted and not self.loads(key)}
        used = {pin.digest for key, pin in self.staged.items() if self.loads(key)} | self.registered | self.held
        return tuple(sorted((kept.keys() & self.on_disk) - used, key=lambda digest: (-kept[digest], digest)))

    @cached_property
    def registered(self) -> frozenset[str]:
        """Digests whose files the engine may read at any moment."""
        return frozenset(root.rpartition("/")[2] for root in (self.listed or {}).values() if self.ours(root))

    @cached_property
    def leaving(self) -> bool:
        """Whether files of a version are on their way out at this moment."""
        return any(pin.digest not in self.on_disk for pin in self.staged.values())

    @cached_property
    def cramped(self) -> bool:
        """Whether something that shall be loaded finds no room on the disk."""
        failed = (key for key, failure in self.failures.items() if failure.problem.reason is Reason.NO_SPACE)
        return any(self.loads(key) for key in failed)


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


def decide(seen: Seen, policy: Policy) -> tuple[Action, ...]:
    """The next actions; each is to be started at once. Empty when all is as wanted, or must be waited for."""
    if not seen.told:
        return ()
    return (*fetches(seen, policy), *drains(seen), *engine_calls(seen, policy), *removals(seen))


def fetches(seen: Seen, policy: Policy) -> list[Action]:
    """What is neither staged nor hopeless, a few at a time, and of what shall not be loaded one at a time.

    One source is never fetched twice at once.
    """
    if not seen.may_fetch:
        return []
    sources = {key.uri for key in seen.fetching}
    kept = sum(not seen.loads(key) for key in seen.fetching)
    ready = []
    for key in by_attempts(seen, (key for key in seen.wanted if key not in seen.staged and seen.due(key))):
        if key.uri not in sources and (seen.loads(key) or not kept):
            sources.add(key.uri)
            kept += not seen.loads(key)
            ready.append(key)
    return [Fetch(key) for key in ready[: max(0, policy.fetches - len(seen.fetching))]]


def drains(seen: Seen) -> list[Action]:
    """What the engine lists from our store and nobody wants goes; what is wanted again stays."""
    wanted = seen.targets
    unwanted = [name for name, root in sorted((seen.listed or {}).items()) if seen.ours(root) and name not in wanted]
    return [
        *(Drain(name) for name in unwanted if name not in seen.draining),
        *(Keep(name) for name in sorted(seen.draining) if name in wanted),
    ]


def engine_calls(seen: Seen, policy: Policy) -> list[Action]:
    """At most one: each runs inside the engine's loop and stops everybody's generation for its time."""
    if seen.listed is None or seen.calling:
        return []
    calls = (call for kind in (displacements, loads, unloads) for call in kind(seen, policy))
    return list(islice(calls, 1))


def displacements(seen: Seen, policy: Policy) -> Iterator[Action]:
    """A name of ours that stands for other bytes serves wrong answers: no drain."""
    wanted = seen.targets
    for name, root in sorted((seen.listed or {}).items()):
        if name in wanted and root != seen.path(wanted[name]) and name not in seen.confirmed:
            yield Unload(name)


def loads(seen: Seen, policy: Policy) -> Iterator[Action]:
    """Those that failed least often first, so that one that hangs each time cannot keep the others waiting."""
    wanted = seen.targets
    for key in by_attempts(seen, (key for key in wanted.values() if seen.due(key))):
        name = seen.name(key)
        if name is not None and name not in (seen.listed or {}) and name not in seen.confirmed:
            yield Load(key, name, seen.path(key))


def unloads(seen: Seen, policy: Policy) -> Iterator[Action]:
    """Drained: the gateways' tables have had their grace, and no request is in flight; or time is up."""
    wanted = seen.targets
    for name, since in sorted(seen.draining.items()):
        waited = seen.now - since
        drained = waited >= policy.grace and name not in seen.busy
        registered = name in (seen.listed or {}) and name not in seen.confirmed
        if registered and name not in wanted and (drained or waited >= policy.drain):
            yield Unload(name)


def removals(seen: Seen) -> list[Action]:
    """Files outlive registration: an engine that has evicted an adapter reads it again, and dies without its files."""
    if seen.listed is None or seen.calling or seen.confirmed:
        return []
    needed = {staged.digest for key, staged in seen.staged.items() if key in seen.wanted} | seen.registered | seen.held
    unneeded = [Remove(digest) for digest in sorted(seen.on_disk - needed)]
    if unneeded or seen.leaving or not seen.cramped:
        return list(unneeded)
    return [GiveUp(digest) for digest in seen.spare[:1]]


def making_room(seen: Seen) -> bool:
    """Whether the disk is full and we are not at our wits' end."""
    return seen.cramped and (seen.leaving or bool(seen.spare))


def by_attempts(seen: Seen, keys: Iterable[Key]) -> list[Key]:
    """What shall be loaded first; then what failed least often."""

    def attempts(key: Key) -> int:
        failure = seen.failures.get(key)
        return failure.attempts if failure is not None else 0

    return sorted(keys, key=lambda key: (not seen.loads(key), attempts(key), key))
