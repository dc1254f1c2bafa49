"""The routing table: what a client's `model` means, and which replicas have it.

Fed with objects as the API server sends them; asked once per request. A name is looked up in O(1); what it means is
worked out once and kept until one of its two objects changes.

    name ──► claims, oldest first ──► adapter ──► Loaded (pod, digest) ──┐
                                         └──► server ──► endpoints ──────┴──► Route: targets that answer
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from zlib import crc32

import orjson

from lorikeet.api.ref import Ref
from lorikeet.gateway.rows import AdapterRow, Row, ServerRow
from lorikeet.gateway.wire.reply import header_lines


@dataclass(frozen=True, slots=True)
class Target:
    """One replica that answers for a route."""

    server: Ref
    server_uid: str
    pod: str
    address: str  # HOST:PORT
    model: str  # what this replica's engine is asked for
    turn: int  # breaks ties between replicas: stable for one model, different between models
    is_base: bool = False
    gpu: int = 0  # slots for adapters on the GPU; 0: not said
    memory: int = 0
    seqs: int = 0  # requests that it works at together; 0: not said
    name: bytes = field(default=b"", compare=False)  # `model` as JSON
    lines: bytes = field(default=b"", compare=False)  # headers that say who answers


@dataclass(frozen=True, slots=True)
class Route:
    """What a public name means now. Without targets it is known, and cannot be answered yet."""

    row: Row
    parent: str | None  # the base model's public name, for an adapter
    targets: tuple[Target, ...]
    label: str = field(init=False)
    """The object's name for metrics and logs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", str(self.row.ref))


class Catalog:
    """Both kinds' rows, indexed by the names clients write."""

    def __init__(self) -> None:
        self.version = 0
        """Grows with each change: what was computed from the catalog at another version is old."""
        self.listeners: list[Callable[[], None]] = []
        """Called after each change."""
        self._servers: dict[Ref, ServerRow] = {}
        self._adapters: dict[Ref, AdapterRow] = {}
        # Claims on a name (bare, and with a namespace in front), oldest first. Few ever share one.
        self._claims: dict[str, list[Row]] = defaultdict(list)
        self._routes: dict[Row, Route] = {}

    def put(self, row: Row) -> None:
        """An object is new or different."""
        self._take_out(type(row), row.ref)
        self._table(type(row))[row.ref] = row
        for name in _spellings(row):
            claims = self._claims[name]
            claims.append(row)
            claims.sort(key=lambda claim: claim.age)
        self._tell()

    def drop(self, kind: type[Row], ref: Ref) -> None:
        """An object is gone, and its names with it."""
        self._take_out(kind, ref)
        self._tell()

    def _tell(self) -> None:
        for listener in self.listeners:
            listener()

    def _take_out(self, kind: type[Row], ref: Ref) -> None:
        self.version += 1
        row = self._table(kind).pop(ref, None)
        if row is None:
            return
        for name in _spellings(row):
            self._claims[name].remove(row)
            if not self._claims[name]:
                del self._claims[name]
        if isinstance(row, ServerRow):
            self._routes.clear()
        else:
            self._routes.pop(row, None)

    def refs(self, kind: type[Row]) -> set[Ref]:
        """Every object of a kind that is here."""
        return set(self._table(kind))

    def row(self, kind: type[Row], ref: Ref) -> Row | None:
        """The row of one object."""
        return self._table(kind).get(ref)

    def rows(self) -> tuple[list[ServerRow], list[AdapterRow]]:
        """Everything there is."""
        return list(self._servers.values()), list(self._adapters.values())

    def find(self, name: str) -> Route | None:
        """What `name` means: a bare name its oldest object's, NAMESPACE:NAME that namespace's. None: nobody's."""
        claims = self._claims.get(name)
        return self._route(claims[0]) if claims else None

    def holder(self, name: str) -> Row | None:
        """The object that has `name`."""
        claims = self._claims.get(name)
        return claims[0] if claims else None

    def server_of(self, row: Row) -> Row | None:
        """The server that answers for a row."""
        return self._servers.get(row.server) if isinstance(row, AdapterRow) else row

    def sole_base(self) -> str | None:
        """The base model's name, where there is just one."""
        names = {row.model for row in self._servers.values() if row.model}
        return names.pop() if len(names) == 1 else None

    @property
    def size(self) -> int:
        """How many spellings of names mean something."""
        return len(self._claims)

    def names(self) -> list[str]:
        """Every name that means something, in its shortest spelling, sorted."""
        return sorted(name for name, claims in self._claims.items() if self._shortest(name, claims[0]))

    def _shortest(self, name: str, row: Row) -> bool:
        _, colon, bare = name.partition(":")
        return not colon or self._claims[bare][0] is not row

    def _route(self, row: Row) -> Route:
        route = self._routes.get(row)
        if route is None:
            route = self._routes[row] = self._work_out(row)
        return route

    def _work_out(self, row: Row) -> Route:
        if isinstance(row, ServerRow):
            return Route(row, None, tuple(_target(row, pod, row.model) for pod in sorted(row.ready)))
        server = self._servers.get(row.server)
        if server is None:
            return Route(row, None, ())
        return Route(row, server.model or None, _adapter_targets(row, server))

    def _table(self, kind: type[Row]) -> dict[Ref, Row]:
        return self._servers if kind is ServerRow else self._adapters  # type: ignore[return-value]


def _adapter_targets(adapter: AdapterRow, server: ServerRow) -> tuple[Target, ...]:
    """Each ready replica that has a version, asked for the one that it has: the one that is served, where it is there.

    Replicas differ only where one after the other changes to a new version for want of slots: leaving out those that
    have the other one would leave their load to the rest.
    """
    there: dict[str, str] = {}
    for pod, engine in sorted(adapter.loaded, key=lambda row: (row[1] != adapter.engine, row)):
        if pod in server.ready:
            there.setdefault(pod, engine)
    return tuple(_target(server, pod, engine, adapter) for pod, engine in sorted(there.items()))


def _target(server: ServerRow, pod: str, model: str, adapter: AdapterRow | None = None) -> Target:
    turn = crc32(f"{model} {pod}".encode())
    return Target(
        server.ref,
        server.uid,
        pod,
        server.ready[pod],
        model,
        turn,
        adapter is None,
        server.gpu,
        server.memory,
        server.seqs,
        orjson.dumps(model),
        _lines(pod, model, adapter),
    )


def _lines(pod: str, model: str, adapter: AdapterRow | None) -> bytes:
    """Which replica answers and, for an adapter, which object in which version: facts of status, none of the client."""
    said = {"x-lorikeet-replica": pod}
    if adapter is not None:
        said["x-lorikeet-adapter"] = str(adapter.ref)
        said["x-lorikeet-digest"] = model.rpartition("@")[2]
        if revision := adapter.revisions.get(model):
            said["x-lorikeet-revision"] = revision
    return header_lines((name.encode(), value.encode()) for name, value in said.items())


def _spellings(row: Row) -> list[str]:
    return [spelling for name in row.names for spelling in (name, f"{row.ref.namespace}:{name}")]
