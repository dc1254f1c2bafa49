"""What the agent says about each adapter: a pure view of what `decide` looks at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lorikeet.agent.plan import making_room
from lorikeet.agent.seen import Key, Seen
from lorikeet.agent.store import Staged
from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import AdapterState


def report(seen: Seen, known: Mapping[str, tuple[Key, Staged]]) -> tuple[AdapterState, ...]:
    """A row for each wanted version, then for each one on its way out. `known`: whose an engine name is or was."""
    rows = [wanted_row(seen, key) for key in sorted(seen.wanted)]
    rows += [leaving_row(seen, name, known) for name in sorted(leaving(seen))]
    return tuple(AdapterState(**row) for row in rows)


def settled(rows: Iterable[AdapterState]) -> bool:
    """Whether nothing that shall be loaded is still on its way: each is loaded, or failed for good."""
    still = (State.LOADED, State.DRAINING)
    return all(row.state in still or (row.state is State.FAILED and row.lasting) for row in rows)


def leaving(seen: Seen) -> set[str]:
    """Engine names without a row of their own: no wanted version has them."""
    wanted = {seen.name(key) for key in seen.wanted}
    return {name for name, root in (seen.listed or {}).items() if seen.ours(root) and name not in wanted}


def leaving_row(seen: Seen, name: str, known: Mapping[str, tuple[Key, Staged]]) -> dict[str, Any]:
    row = (
        described(*known[name]) if name in known else {"adapter": name.split("@", 1)[0], "engine_name": name, "uri": ""}
    )
    return row | draining(seen, name)


def draining(seen: Seen, name: str) -> dict[str, Any]:
    return {"state": State.DRAINING, "message": seen.balks[name].why if name in seen.balks else ""}


def wanted_row(seen: Seen, key: Key) -> dict[str, Any]:
    failure, staged = seen.failures.get(key), seen.staged.get(key)
    row = described(key, staged or (failure.known if failure is not None else None))
    name = seen.name(key)
    if name is not None and (seen.listed or {}).get(name) == seen.path(key):
        return row | ({"state": State.LOADED} if seen.loads(key) else draining(seen, name))
    waiting = seen.listed is None and failure is not None and failure.step == "load" and not failure.problem.lasting
    waiting = waiting or (failure is not None and failure.problem.reason is Reason.NO_SPACE and making_room(seen))
    if failure is not None and not waiting:  # it stays Failed while it is tried again: no flapping
        problem = failure.problem
        said = {"reason": problem.reason, "message": problem.message, "lasting": problem.lasting}
        return row | {"state": State.FAILED} | said
    return row | progress(seen, key, name)


def progress(seen: Seen, key: Key, name: str | None) -> dict[str, Any]:
    if name is None:
        waits = {} if seen.may_fetch else {"message": f"adapter {key.adapter} waits for the base model"}
        return {"state": State.FETCHING, "reason": Reason.FETCHING} | waits
    if not seen.loads(key):
        return {"state": State.STAGED, "reason": Reason.STAGED}
    if name in seen.calling or name in seen.unchecked:
        return {"state": State.LOADING, "reason": Reason.LOADING}
    if seen.listed is None or seen.hung:
        message = f"adapter {key.adapter} is staged and waits for the engine"
        return {"state": State.STAGED, "reason": Reason.WAITING_FOR_ENGINE, "message": message}
    return {"state": State.STAGED, "reason": Reason.STAGED}


def described(key: Key, staged: Staged | None) -> dict[str, Any]:
    row: dict[str, Any] = {"adapter": key.adapter, "uri": key.uri}
    if staged is None:
        return row
    name = engine_name(key.adapter, staged.digest) if staged.digest else ""
    facts = {"revision": staged.revision, "digest": staged.digest, "rank": staged.rank, "bytes": staged.bytes}
    return row | facts | {"engine_name": name}
