"""What each replica shall hold, and what of it shall be loaded: its slots, shared out. Pure.

First whoever has its place here and something to load; then, while slots are left, second versions that are coming or
going, and those that are only still here; what is still to be fetched is loaded as it comes while there is room.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lorikeet.api.wire import WantedAdapter
from lorikeet.controller.rollout import Rollout, Stand
from lorikeet.controller.seen import Replica
from lorikeet.controller.versions import entry_of, failed_back, failed_for_good, is_here

Turn = tuple[str | None, bool]
REMEMBERED = 65536
"""Entries that are kept for the next pass."""
Versions = Mapping[str, bool]
"""URI → whether it shall be loaded; false: only be kept on disk."""


@dataclass(frozen=True)
class _Split:
    """How one replica's slots are shared out."""

    stands: Mapping[str, Stand]
    second: frozenset[str]
    """Adapters that have a slot besides those of the ones whose place is here."""
    roomy: frozenset[str]
    """Adapters that may be loaded as soon as they are fetched."""


def shares(
    rollouts: Sequence[Rollout], replicas: Sequence[Replica], slots: int
) -> dict[str, tuple[WantedAdapter, ...]]:
    """Pod → what it shall hold; only for replicas that say what they have. `rollouts` in the adapters' order."""
    there = _there(rollouts)
    heard = [replica for replica in replicas if replica.state is not None]
    splits = {replica.pod: _split(there[replica.pod], replica, slots) for replica in heard}
    turns = {rollout.adapter.ref.name: rollout.turn(_crowded(rollout, splits)) for rollout in rollouts}
    return {
        replica.pod: tuple(
            entry
            for rollout in there[replica.pod]
            for entry in _entries(rollout, replica, splits[replica.pod], turns[rollout.adapter.ref.name])
        )
        for replica in heard
    }


def _there(rollouts: Sequence[Rollout]) -> Mapping[str, Sequence[Rollout]]:
    """Pod → those that concern it, because their place is there, or something of them is."""
    found: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        for pod in {replica.pod for replica in rollout.holding} | rollout.place.pods:
            found[pod].append(rollout)
    return found


def _split(rollouts: Sequence[Rollout], replica: Replica, slots: int) -> _Split:
    stands = {rollout.adapter.ref.name: rollout.stand(replica) for rollout in rollouts}
    left = slots - sum(_sits(stand) for stand in stands.values())
    extras = sorted(
        (_rank(rollout, stand), number, rollout.adapter.ref.name)
        for number, rollout in enumerate(rollouts)
        if _is_extra(rollout, stand := stands[rollout.adapter.ref.name])
    )
    second = frozenset(name for *_, name in extras[: max(0, left)])
    coming = [name for name, stand in stands.items() if stand.home and not _sits(stand)]
    return _Split(stands, second, frozenset(coming[: max(0, left - len(second))]))


def _sits(stand: Stand) -> bool:
    """Whether its place is here, and there is something to load."""
    return stand.home and (stand.first is not None or is_here(stand.new))


def _is_extra(rollout: Rollout, stand: Stand) -> bool:
    return _is_pair(rollout, stand) if stand.home else stand.old is not None


def _is_pair(rollout: Rollout, stand: Stand) -> bool:
    """Whether two versions shall be loaded for a while."""
    return stand.home and stand.first is not None and rollout.uri is not None and not failed_for_good(stand.new)


def _rank(rollout: Rollout, stand: Stand) -> int:
    """What is loaded goes before what is to be, and both before one that has lost its slot to others."""
    if stand.home:
        return 0 if stand.both else 1
    return 0 if rollout.homes else 2


def _crowded(rollout: Rollout, splits: Mapping[str, _Split]) -> frozenset[str]:
    name = rollout.adapter.ref.name
    splits_there = (splits[home.pod] for home in rollout.homes if home.pod in splits)
    stands = (split.stands[name] for split in splits_there if name not in split.second)
    return frozenset(stand.pod for stand in stands if _is_pair(rollout, stand) and not stand.both)


def _entries(rollout: Rollout, replica: Replica, split: _Split, turn: Turn) -> Iterator[WantedAdapter]:
    adapter, source = rollout.adapter, rollout.adapter.spec.source
    stand = split.stands[adapter.ref.name]
    found = _at_home(rollout, stand, split, turn) if stand.home else _elsewhere(rollout, stand, split)
    if stand.home and (failed := failed_back(adapter, replica)):
        found = {failed: True, **found}
    for uri, load in {**_kept(rollout, replica, found), **found}.items():
        sha256 = source.sha256 if uri == rollout.uri else None
        yield _entry(adapter.ref.name, uri, source.credentials_key, sha256, load)


@lru_cache(REMEMBERED)
def _entry(adapter: str, uri: str, credentials_key: str | None, sha256: str | None, load: bool) -> WantedAdapter:
    """One value for all replicas and passes: to make one is most of the work of telling replicas what they hold."""
    return WantedAdapter(adapter=adapter, uri=uri, credentials_key=credentials_key, sha256=sha256, load=load)


def _at_home(rollout: Rollout, stand: Stand, split: _Split, turn: Turn) -> Versions:
    name = rollout.adapter.ref.name
    new = {rollout.uri: True} if rollout.uri else {}
    if stand.first is None:
        now = is_here(stand.new) or failed_for_good(stand.new) or name in split.roomy
        return dict.fromkeys(new, now)
    if not _is_pair(rollout, stand) or name in split.second:
        return {stand.first: True, **new}
    if stand.both:
        return new if rollout.was_told(stand.new, stand.pod) else {stand.first: True, **new}
    whose, beyond = turn
    if whose == stand.pod:
        return {stand.first: True, **new} if beyond else new
    return {stand.first: True, **dict.fromkeys(new, False)}


def _elsewhere(rollout: Rollout, stand: Stand, split: _Split) -> Versions:
    if stand.old is None:
        return {}
    stays = rollout.adapter.ref.name in split.second or rollout.is_last(stand.pod)
    return {stand.old.uri: True} if stays else {}


def _kept(rollout: Rollout, replica: Replica, found: Versions) -> Versions:
    """What is on the disk, of the wanted version and of those that were served: a way back without a download."""
    adapter = rollout.adapter
    loading = {entry.digest for uri in found if found[uri] and (entry := entry_of(adapter, uri, replica))}
    uris = [rollout.uri, *(one.uri for one in adapter.told.history)]
    entries = [entry for uri in uris if uri and is_here(entry := entry_of(adapter, uri, replica)) and entry]
    return {entry.uri: False for entry in entries if entry.digest not in loading}
