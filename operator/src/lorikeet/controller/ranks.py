"""The highest rank that a server's engines shall take: what the spec says, or with Auto what its adapters need. Pure.

Auto goes up only: a replica that serves with a rank proves that its memory is enough, and going down would replace it
for nothing. A rank that was rendered and that no replica came up with is given up as soon as nobody needs it.
"""

from __future__ import annotations

from dataclasses import replace

from lorikeet.api.conditions import Kind, Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.modelserver import AUTO, MAX_RANKS
from lorikeet.api.wire import AdapterState
from lorikeet.controller.rights import names_of
from lorikeet.controller.seen import Adapter, Seen, Server
from lorikeet.controller.versions import is_here, wanted_entry

START = 16
"""What Auto begins with: nobody knows an adapter before some replica has looked at it."""


def max_rank(seen: Seen) -> int:
    """The rank to start engines with now; 0 without a server."""
    if seen.server is None:
        return 0
    given = seen.server.spec.lora.max_rank
    if isinstance(given, int):
        return given
    return max(START, _kept(seen.server, seen), *(_needed(adapter, seen) for adapter in seen.adapters))


def with_rank(server: Server, rank: int) -> Server:
    """The same server with that rank in the place of Auto."""
    lora = server.spec.lora.model_copy(update={"max_rank": rank})
    return replace(server, spec=server.spec.model_copy(update={"lora": lora}))


def is_raised_for(entry: AdapterState, seen: Seen) -> bool:
    """Whether the server's rank follows what was refused, so that it is refused no more once replicas were replaced."""
    auto = seen.server is not None and seen.server.spec.lora.max_rank == AUTO
    fits = entry.rank > 0 and legal(entry.rank) is not None
    return auto and fits and entry.reason is Reason.RANK_TOO_HIGH


def legal(rank: int) -> int | None:
    """The lowest rank of vLLM's list that is enough; None above them all."""
    return next((one for one in MAX_RANKS if one >= rank), None)


def _kept(server: Server, seen: Seen) -> int:
    """The highest that serves; while none serves, the one that was rendered last."""
    serving = [replica.max_rank for replica in seen.replicas if replica.routed]
    return max(serving, default=server.max_rank)


def _needed(adapter: Adapter, seen: Seen) -> int:
    """What the wanted version needs, where that is all that is wrong with it; 0 where nobody can tell."""
    if not names_of(adapter, seen):
        return 0
    entries = [entry for replica in seen.holding(adapter.ref.name) if (entry := wanted_entry(adapter, replica))]
    ranks = [entry.rank for entry in entries if _counts(entry)]
    if not ranks and all(entry.state is not State.FAILED for entry in entries):
        ranks = [_told(adapter)]
    return max((legal(rank) or 0 for rank in ranks), default=0)


def _counts(entry: AdapterState) -> bool:
    return is_here(entry) or entry.reason is Reason.RANK_TOO_HIGH


def _told(adapter: Adapter) -> int:
    """What was known before the replicas that knew it started again."""
    unfit = any(one.type == Kind.COMPATIBLE and one.status == "False" for one in adapter.told.conditions)
    return 0 if unfit else adapter.told.rank
