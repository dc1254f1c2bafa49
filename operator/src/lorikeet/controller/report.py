"""Which objects shall be told what, and how soon. Pure: status is computed whole and compared with what was told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lorikeet.api.conditions import Condition, Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.controller.carry_out import Done
from lorikeet.controller.conditions import MENDING
from lorikeet.controller.layout import Layout
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.report_server import server_status
from lorikeet.controller.seen import Adapter, Seen, Server
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, Resource

AT_ONCE, LATER, AT_LEISURE = 0.0, 1.0, 3.0
"""Seconds a changed status may wait for company: what routes does not wait, a further replica and progress do, so that
a burst of steps is one write. Longest waits how many replicas serve, where only their being in service has changed:
gateways hear that of the server, once for all adapters."""
FOR_EACH, LATEST = 0.05, 10.0
"""Seconds that each of many adapters whose progress is to be told adds to that wait, and the longest that it becomes:
most of them are Ready by then."""
FOR_FIRST, BEAT = 0.01, 0.3
"""The same of an adapter's first replica, where others are under way: until each agent has had its say. It speaks four
times a second while one load follows the other, and what the rest say a moment later would be another write."""


@dataclass(frozen=True)
class Tell:
    """One object's status, different from what it says now."""

    resource: Resource
    ref: Ref
    uid: str
    status: LoRAAdapterStatus | ModelServerStatus
    delay: float
    turned: Condition | None = None
    """Ready, where its status or reason is another: worth a line in the log."""
    first: bool = False
    """Whether it tells of an adapter's first replica."""

    @property
    def key(self) -> tuple[Resource, Ref, bool]:
        """What waits: the object; and its first replica anew, however long it has had progress to tell."""
        return self.resource, self.ref, self.first

    @property
    def warning(self) -> Condition | None:
        """Ready, where it turned bad for a new reason that does not mend itself: worth an Event."""
        bad = self.turned and self.turned.status != "True" and self.turned.reason not in MENDING
        return self.turned if bad else None


def report(seen: Seen, layout: Layout, done: Done, now: str) -> tuple[Tell, ...]:
    """Everything to be told after a pass."""
    if not seen.complete:
        return ()
    tells = tuple(_tells(seen, layout, done, now))
    under_way = sum(each.resource is LORAADAPTERS and each.delay == LATER for each in tells)
    return tuple(replace(each, delay=_among(under_way, each)) for each in tells)


def _among(under_way: int, tell: Tell) -> float:
    """How long this one waits where the progress of so many adapters is to be told."""
    if tell.resource is LORAADAPTERS and tell.delay == LATER:
        return min(max(LATER, FOR_EACH * under_way), LATEST)
    return min(FOR_FIRST * under_way, BEAT) if tell.first else tell.delay


def _tells(seen: Seen, layout: Layout, done: Done, now: str) -> Iterator[Tell]:
    """In the order in which it may be heard: who is Ready no more, then where requests may go, then who is Ready.

    A gateway that hears the next before the last never finds a Ready adapter on replicas that it does not know yet.
    """
    statuses = [(adapter, adapter_status(adapter, seen, layout, now)) for adapter in seen.adapters]
    ready = [told for told in statuses if is_true(told[1].conditions, Kind.READY)]
    yield from _adapter_tells(told for told in statuses if not is_true(told[1].conditions, Kind.READY))
    if seen.server is not None:
        told = server_status(seen.server, seen, layout, len(ready), done, now)
        yield from _server_tell(seen.server, told)
    yield from _adapter_tells(ready)


def _adapter_tells(statuses: Iterable[tuple[Adapter, LoRAAdapterStatus]]) -> Iterator[Tell]:
    for adapter, status in statuses:
        if status != adapter.told:
            delay = _adapter_delay(adapter.told, status)
            turned = _turned(adapter.told.conditions, status.conditions)
            yield Tell(LORAADAPTERS, adapter.ref, adapter.uid, status, delay, turned, delay == BEAT)


def _server_tell(server: Server, told: ModelServerStatus) -> Iterator[Tell]:
    if told != server.told:
        delay = _server_delay(server.told, told)
        yield Tell(MODELSERVERS, server.ref, server.uid, told, delay, _turned(server.told.conditions, told.conditions))


def is_true(conditions: Iterable[Condition], kind: Kind) -> bool:
    """Whether condition `kind` holds."""
    return any(condition.type == kind and condition.status == "True" for condition in conditions)


def _adapter_delay(before: LoRAAdapterStatus, after: LoRAAdapterStatus) -> float:
    rows, more = _rows(before), _rows(after)
    flipped = rows and (before.engine_name, before.names) != (after.engine_name, after.names)
    if flipped or rows - more or _ready(before.conditions) != _ready(after.conditions):
        return AT_ONCE
    if more and not rows:
        return BEAT
    return AT_LEISURE if before.replicas == after.replicas and before.ready_replicas != after.ready_replicas else LATER


def _server_delay(before: ModelServerStatus, after: ModelServerStatus) -> float:
    same = before.endpoints == after.endpoints and _ready(before.conditions) == _ready(after.conditions)
    return LATER if same and before.model_name == after.model_name else AT_ONCE


def _rows(status: LoRAAdapterStatus) -> set[tuple[str, str]]:
    """What gateways route by."""
    return {(replica.pod, replica.digest) for replica in status.replicas if replica.state is State.LOADED}


def _ready(conditions: Iterable[Condition]) -> tuple[str, str]:
    """What a waiting user must hear at once: Ready, and why it can not become so."""
    for condition in conditions:
        if condition.type == Kind.READY:
            return (condition.status, "" if condition.reason in MENDING else condition.reason)
    return ("False", "")


def _turned(before: Iterable[Condition], after: Iterable[Condition]) -> Condition | None:
    then, now = _condition(before), _condition(after)
    same = then is not None and now is not None and (then.status, then.reason) == (now.status, now.reason)
    return None if same else now


def _condition(conditions: Iterable[Condition]) -> Condition | None:
    return next((condition for condition in conditions if condition.type == Kind.READY), None)
