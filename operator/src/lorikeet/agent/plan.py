"""What to do next: facts about wanted set, disk and engine in, actions out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from lorikeet.agent.actions import Action, Drain, Fetch, GiveUp, Keep, Load, Remove, Unload
from lorikeet.agent.seen import Key, Seen


@dataclass(frozen=True)
class Policy:
    """Seconds and counts."""

    grace: float = 3.0
    """A gateway may still hold a table with the old version this long."""
    drain: float = 60.0
    """Then requests have until this long after the start of the drain to end."""
    linger: float = 30.0
    """A version whose successor is wanted stays so long for gateways with an old table, while nobody wants its slot."""
    slots: int = 0
    """Adapters that the engine's memory holds (max_cpu_loras); 0: we were not told, so nothing lingers."""
    fetches: int = 4
    patience: float = 1.0
    """So long the engine's next load or unload waits for an answer to the last one."""
    unanswered: int = 4
    """So many without an answer, and nothing more is asked of the engine."""


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
    late = [seen.now - call.since >= policy.patience for call in seen.calling.values()]
    if seen.listed is None or seen.hung or not all(late) or len(late) >= policy.unanswered:
        return []
    calls = (call for kind in (displacements, evictions, loads, unloads) for call in kind(seen, policy))
    return list(islice((call for call in calls if call.name not in seen.calling), 1))


def displacements(seen: Seen, policy: Policy) -> Iterator[Unload]:
    """A name of ours that stands for other bytes serves wrong answers: no drain."""
    wanted = seen.targets
    for name, root in sorted((seen.listed or {}).items()):
        other = name in wanted and root != seen.path(wanted[name])
        if other and name not in seen.unchecked and not seen.balked(name):
            yield Unload(name)


def loads(seen: Seen, policy: Policy) -> Iterator[Load]:
    """Those that failed least often first, so that one that hangs each time cannot keep the others waiting.

    Among these the hottest: they are what a new life of the engine is asked for at once.
    """
    there = {*(seen.listed or {}), *seen.unchecked}
    missing = {key: name for name, key in seen.targets.items() if name not in there and seen.due(key)}
    for key in by_attempts(seen, missing):
        yield Load(key, missing[key], seen.path(key))


def evictions(seen: Seen, policy: Policy) -> Iterator[Unload]:
    """As many of those that linger as there are slots missing, the longest out first."""
    idle = [name for name in lingering(seen, policy) if seen.busy is not None and name not in seen.busy]
    ripe = [name for name in idle if seen.now - seen.draining[name] >= policy.grace]
    if ripe:
        yield from (Unload(name) for name in ripe[: missing_slots(seen, policy)])


def unloads(seen: Seen, policy: Policy) -> Iterator[Unload]:
    """Drained: the gateways' tables have had their grace, and no request is in flight; or time is up."""
    lingers = lingering(seen, policy)
    for name in on_their_way_out(seen):
        waited = seen.now - seen.draining[name]
        drained = waited >= policy.grace and seen.busy is not None and name not in seen.busy
        if name not in lingers and (drained or waited >= policy.drain):
            yield Unload(name)


def on_their_way_out(seen: Seen) -> list[str]:
    """The engine names that may be unloaded, the longest out first."""
    names = (name for name in seen.draining if name in (seen.listed or {}) and name not in seen.targets)
    free = (name for name in names if name not in seen.unchecked and not seen.balked(name))
    return sorted(free, key=lambda name: (seen.draining[name], name))


def lingering(seen: Seen, policy: Policy) -> list[str]:
    """Those among them that stay for a while, unless their files' room is wanted."""
    if not policy.slots or seen.cramped:
        return []
    names = on_their_way_out(seen)
    return [name for name in names if seen.superseded(name) and seen.now - seen.draining[name] < policy.linger]


def missing_slots(seen: Seen, policy: Policy) -> int:
    """How many more slots there should be for what waits to be loaded, and for what was loaded beyond them."""
    there = {*(seen.listed or {}), *seen.unchecked}
    return max(0, len(there) + sum(1 for _ in loads(seen, policy)) - policy.slots)


def minds_requests(seen: Seen, policy: Policy) -> bool:
    """Whether anything hangs on who has requests in flight."""
    lingers = lingering(seen, policy)
    return len(lingers) < len(on_their_way_out(seen)) or bool(lingers and missing_slots(seen, policy))


def removals(seen: Seen) -> list[Action]:
    """Files outlive registration: an engine that has evicted an adapter reads it again, and dies without its files."""
    if seen.listed is None or seen.unchecked:
        return []
    needed = {staged.digest for key, staged in seen.staged.items() if key in seen.wanted} | seen.registered | seen.held
    needed |= {call.digest for call in seen.calling.values()}
    unneeded = [Remove(digest) for digest in sorted(seen.on_disk - needed) if not seen.balked(digest)]
    if unneeded or seen.removing or not seen.cramped:
        return list(unneeded)
    return [GiveUp(digest) for digest in seen.spare[:1]]


def making_room(seen: Seen) -> bool:
    """Whether the disk is full and we are not at our wits' end."""
    return seen.cramped and bool(seen.removing or seen.spare or any(map(seen.superseded, seen.draining)))


def by_attempts(seen: Seen, keys: Iterable[Key]) -> list[Key]:
    """What shall be loaded first; then what failed least often; then what is asked for most."""

    def rank(key: Key) -> tuple[bool, int, int, Key]:
        failure = seen.failures.get(key)
        attempts = failure.attempts if failure is not None else 0
        return not seen.loads(key), attempts, seen.place.get(key.adapter, len(seen.place)), key

    return sorted(keys, key=rank)
