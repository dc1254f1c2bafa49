"""What the agent says about each adapter: a pure view of what `decide` looks at."""

from __future__ import annotations

from collections.abc import Mapping

from lorikeet.agent.plan import Key, Seen
from lorikeet.agent.store import Staged
from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import AdapterState


def report(
    seen: Seen, known: Mapping[str, tuple[Key, Staged]], before: tuple[AdapterState, ...], now: str
) -> tuple[AdapterState, ...]:
    """One row for each wanted version and each one on its way out, sorted.

    `known` says whose an engine name is or was; `before` are the last rows, which keep their `since` while their state
    stays; `now` is RFC 3339.
    """
    since = {(row.adapter, row.uri): row for row in before}
    rows = [wanted_row(seen, key) for key in sorted(seen.wanted)]
    rows += [leaving_row(name, known) for name in sorted(leaving(seen))]

    def dated(row: AdapterState) -> AdapterState:
        old = since.get((row.adapter, row.uri))
        return row.model_copy(update={"since": old.since if old is not None and old.state == row.state else now})

    return tuple(dated(row) for row in rows)


def settled(rows: tuple[AdapterState, ...]) -> bool:
    """Whether nothing wanted is still on its way: each is loaded, or failed for good."""
    still = (State.LOADED, State.DRAINING)
    return all(row.state in still or (row.state is State.FAILED and row.lasting) for row in rows)


def leaving(seen: Seen) -> set[str]:
    wanted = {seen.name(key) for key in seen.wanted}
    return {name for name, root in (seen.listed or {}).items() if seen.ours(root) and name not in wanted}


def leaving_row(name: str, known: Mapping[str, tuple[Key, Staged]]) -> AdapterState:
    if name in known:
        key, staged = known[name]
        row = described(key, staged)
    else:
        row = AdapterState(adapter=name.split("@", 1)[0], uri="", engine_name=name, state=State.DRAINING)
    return row.model_copy(update={"state": State.DRAINING})


def wanted_row(seen: Seen, key: Key) -> AdapterState:
    failure, staged = seen.failures.get(key), seen.staged.get(key)
    row = described(key, staged or (failure.known if failure is not None else None))
    name = seen.name(key)
    if name is not None and (seen.listed or {}).get(name) == seen.path(key):
        return row.model_copy(update={"state": State.LOADED})
    waiting = seen.listed is None and failure is not None and failure.step == "load" and not failure.problem.lasting
    if failure is not None and not waiting:  # it stays Failed while it is tried again: no flapping
        problem = failure.problem
        said = {"reason": problem.reason, "message": problem.message, "lasting": problem.lasting}
        return row.model_copy(update={"state": State.FAILED, **said})
    return row.model_copy(update=progress(seen, key, name))


def progress(seen: Seen, key: Key, name: str | None) -> dict[str, object]:
    if name is None:
        if seen.may_fetch:
            return {"state": State.FETCHING, "reason": Reason.FETCHING}
        message = f"adapter {key.adapter} waits for the base model"
        return {"state": State.FETCHING, "reason": Reason.FETCHING, "message": message}
    if name in seen.calling or name in seen.confirmed:
        return {"state": State.LOADING, "reason": Reason.LOADING}
    if seen.listed is None:
        message = f"adapter {key.adapter} is staged and waits for the engine"
        return {"state": State.STAGED, "reason": Reason.WAITING_FOR_ENGINE, "message": message}
    return {"state": State.STAGED, "reason": Reason.STAGED}


def described(key: Key, staged: Staged | None) -> AdapterState:
    row = AdapterState(adapter=key.adapter, uri=key.uri, state=State.FETCHING)
    if staged is None:
        return row
    facts = {"revision": staged.revision, "digest": staged.digest, "rank": staged.rank, "bytes": staged.bytes}
    name = engine_name(key.adapter, staged.digest) if staged.digest else ""
    return row.model_copy(update={**facts, "engine_name": name})
