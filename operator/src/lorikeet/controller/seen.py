"""What one pass sees: plain, frozen facts. `observe` gathers them; everything after it only looks here."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from lorikeet.api.conditions import Problem
from lorikeet.api.loraadapter import LoRAAdapterSpec, LoRAAdapterStatus, PinnedSource, ServedVersion, State
from lorikeet.api.modelserver import ModelServerSpec, ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.api.wire import AdapterState, AgentState, Resolved

COMMIT = re.compile(r"^hf://[^@]+@(?P<commit>[0-9a-f]{40})$")
"""A source that names its commit needs no question to the hub."""


@dataclass(frozen=True)
class Server:
    """The ModelServer of the pass."""

    ref: Ref
    uid: str
    generation: int
    spec: ModelServerSpec
    told: ModelServerStatus
    """The status gateways read now."""
    rendered: Mapping[str, str] = field(default_factory=dict)
    """Kind → fingerprint of the child that the API server holds; absent where the child is."""
    max_rank: int = 0
    """The rank that its Deployment was rendered with; 0 while there is none."""

    @cached_property
    def endpoints(self) -> frozenset[str]:
        """The pods to which gateways send requests, as they were told."""
        return frozenset(endpoint.pod for endpoint in self.told.endpoints if endpoint.ready)


@dataclass(frozen=True)
class Adapter:
    """A LoRAAdapter that names the server."""

    ref: Ref
    uid: str
    generation: int
    created: str
    spec: LoRAAdapterSpec
    told: LoRAAdapterStatus
    """The status gateways read now: an old version is dropped only once they were told of the new one."""
    answer: Resolved | Problem | None = None
    """What an agent answered last when asked for the source's revision."""
    asking: bool = False
    """Somebody is asking, now and again until there is an answer."""
    lingering: frozenset[str] = frozenset()
    """Names that it gave up a moment ago and nobody else asks for."""

    @property
    def public_name(self) -> str:
        """The name clients write."""
        return self.spec.name or self.ref.name

    @property
    def order(self) -> tuple[int, str, str]:
        """Who comes first where slots are few: higher priority, then the older."""
        return (-self.spec.priority, self.created, self.uid)

    @property
    def claims(self) -> tuple[str, ...]:
        """Every public name it asks for, its main one first."""
        return (self.public_name, *self.spec.aliases)

    @cached_property
    def pin(self) -> PinnedSource | None:
        """What spec.source means: given in full, or as once resolved; None while nobody knows."""
        uri = self.spec.source.uri
        if given := COMMIT.match(uri):
            return PinnedSource(uri=uri, revision=given["commit"])
        if isinstance(self.answer, Resolved):
            return PinnedSource(uri=uri, revision=self.answer.revision)
        if self.told.pin and self.told.pin.uri == uri:
            return self.told.pin
        return None

    @cached_property
    def pinned_uri(self) -> str | None:
        """The wanted source with its revision; None while that is unknown."""
        return f"{self.pin.uri.split('@', 1)[0]}@{self.pin.revision}" if self.pin else None

    @cached_property
    def undetermined(self) -> bool:
        """Nobody knows yet which version is meant, and gateways were never told of one: a new adapter, or one whose
        operator died between its load and its first status."""
        refused = isinstance(self.answer, Problem) and self.answer.lasting
        return self.pin is None and not self.told.history and not refused

    @cached_property
    def told_version(self) -> ServedVersion | None:
        """The version that gateways were told of last."""
        name = self.told.engine_name
        return next((one for one in self.told.history if name and one.engine_name == name), None)

    @cached_property
    def told_rows(self) -> frozenset[tuple[str, str]]:
        """Pod and digest of what answers, as gateways were told."""
        return frozenset((row.pod, row.digest) for row in self.told.replicas if row.state is State.LOADED)

    @cached_property
    def once_told(self) -> frozenset[str]:
        """The digests that gateways were told of, now or before."""
        return frozenset({digest for _, digest in self.told_rows} | {one.digest for one in self.told.history})


@dataclass(frozen=True)
class Replica:
    """One engine pod."""

    pod: str
    uid: str
    ip: str
    ready: bool
    """The kubelet finds it ready and nobody is deleting it."""
    state: AgentState | None = None
    """What its agent says; None while it does not answer."""
    last: AgentState | None = None
    """What its agent said last, however long it has been silent since; None where it never answered."""
    asked: bool = True
    """False until its agent has answered, or failed to, for the first time."""
    current: bool = True
    """Made from the template as it is now; the others wait to be replaced."""
    max_rank: int = 0
    """The highest rank that its engine was started for."""
    problem: Problem | None = None
    """Why the pod cannot run, where Kubernetes says so."""

    @property
    def routed(self) -> bool:
        """Whether gateways may send requests to it."""
        return self.ready and self.state is not None and self.state.engine == "Healthy"

    def holds(self, adapter: str) -> Sequence[AdapterState]:
        """Every version of `adapter` (an object's name) that its agent knows."""
        return self.by_adapter.get(adapter, ())

    @cached_property
    def by_adapter(self) -> Mapping[str, Sequence[AdapterState]]:
        found: dict[str, list[AdapterState]] = defaultdict(list)
        for entry in self.state.adapters if self.state else ():
            found[entry.adapter].append(entry)
        return found

    @cached_property
    def failing(self) -> frozenset[str]:
        """The adapters of which some version failed here for good."""
        entries = self.state.adapters if self.state else ()
        return frozenset(entry.adapter for entry in entries if entry.state is State.FAILED and entry.lasting)


@dataclass(frozen=True)
class Seen:
    """Everything a pass knows."""

    ref: Ref
    server: Server | None
    """None where no such ModelServer is, or none that can be read."""
    adapters: tuple[Adapter, ...] = ()
    replicas: tuple[Replica, ...] = ()
    unread: frozenset[str] = frozenset()
    """Adapters (objects' names) that say what we cannot read, a newer operator's source, say: they stay as they are."""
    holders: Mapping[str, Ref] = field(default_factory=dict)
    """Public name → the object of this namespace that holds it."""
    answering: Mapping[str, frozenset[Ref]] = field(default_factory=dict)
    """Public name → the adapters of this namespace that answer to it, as gateways were told."""

    def holding(self, adapter: str) -> Sequence[Replica]:
        """The replicas that know something of `adapter` (an object's name)."""
        return self._holding.get(adapter, ())

    def of(self, pods: Iterable[str]) -> tuple[Replica, ...]:
        """The replicas called so, in order."""
        return tuple(self._by_pod[pod] for pod in sorted(pods))

    @cached_property
    def _by_pod(self) -> Mapping[str, Replica]:
        return {replica.pod: replica for replica in self.replicas}

    @cached_property
    def _holding(self) -> Mapping[str, Sequence[Replica]]:
        found: dict[str, list[Replica]] = defaultdict(list)
        for replica in sorted(self.replicas, key=lambda replica: replica.pod):
            for adapter in replica.by_adapter:
                found[adapter].append(replica)
        return found

    @property
    def complete(self) -> bool:
        """False right after a start, while some ready replica has not been asked: say nothing yet."""
        return all(replica.asked or not replica.ready for replica in self.replicas)
