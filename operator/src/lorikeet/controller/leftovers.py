"""What deleted adapters may have left on replicas that do not answer, or engines that refuse. Pure.

Nothing waits for it: objects go at once, and what is left is unloaded as soon as that can be done. People are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.loraadapter import State
from lorikeet.controller.seen import Replica, Seen

IN_ENGINE = frozenset({State.LOADING, State.LOADED, State.DRAINING})
NAMED = 8
"""Versions that a sentence names; more are counted."""


@dataclass(frozen=True, order=True)
class Leftover:
    """A version that nobody wants, in an engine that may still have it."""

    pod: str
    reason: Reason
    why: str
    name: str
    """What the engine calls it."""


def leftovers(seen: Seen) -> tuple[Leftover, ...]:
    """All there may be on the server's replicas."""
    return tuple(sorted(left for replica in seen.replicas for left in _on(replica, seen)))


def sentences(found: Iterable[Leftover]) -> Iterator[Problem]:
    """One for each replica and cause."""
    groups: dict[tuple[str, Reason, str], list[str]] = {}
    for left in sorted(found):
        groups.setdefault((left.pod, left.reason, left.why), []).append(left.name)
    for (pod, reason, why), names in groups.items():
        text = f"{some(names)} may still be loaded on pod {pod}: {why}"
        yield Problem(reason=reason, message=f"{text}; no object wants that any more, and it goes as soon as it can")


def some(names: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _on(replica: Replica, seen: Seen) -> Iterator[Leftover]:
    known = seen.unread | {adapter.ref.name for adapter in seen.adapters}
    state = replica.state or replica.last
    for entry in state.adapters if state else ():
        if entry.adapter in known or entry.state not in IN_ENGINE:
            continue
        name = entry.engine_name or entry.adapter
        if replica.state is None:
            yield Leftover(replica.pod, Reason.AGENT_UNREACHABLE, "its agent does not answer", name)
        elif entry.message:
            yield Leftover(replica.pod, Reason.UNLOAD_FAILED, entry.message, name)
