"""An adapter's versions: which one is wanted, what gateways were told, and which of them replicas have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lorikeet.api.loraadapter import ServedVersion, State
from lorikeet.api.wire import AdapterState
from lorikeet.controller.seen import Adapter, Replica

HISTORY = 5


def entry_of(adapter: Adapter, uri: str | None, replica: Replica) -> AdapterState | None:
    """What the replica says of one version."""
    for entry in replica.holds(adapter.ref.name):
        if entry.uri == uri:
            return entry
    return None


def wanted_entry(adapter: Adapter, replica: Replica) -> AdapterState | None:
    """What the replica says of the wanted version."""
    return entry_of(adapter, adapter.pinned_uri, replica)


def loaded(adapter: Adapter, replica: Replica) -> tuple[AdapterState, ...]:
    """The versions of `adapter` that the replica's engine lists and its agent does not drain.

    Its own alone: what an object of the same name left, which is no more, is no version of this one.
    """
    uri, told = adapter.pinned_uri, adapter.once_told
    entries = replica.holds(adapter.ref.name)
    return tuple([one for one in entries if one.state is State.LOADED and (one.uri == uri or one.digest in told)])


def is_here(entry: AdapterState | None) -> bool:
    """Whether the version's bytes are on the replica, checked and fit."""
    return entry is not None and bool(entry.digest) and entry.state is not State.FAILED


def failed_for_good(entry: AdapterState | None) -> bool:
    """Whether the same will fail again."""
    return entry is not None and entry.state is State.FAILED and entry.lasting


def version_back(adapter: Adapter, replica: Replica) -> str | None:
    """The version that was told, for a replica where nothing is loaded and the wanted one is not to be had.

    Because it is not known, failed for good, cannot be fetched, or is still being fetched while the other is here.
    """
    told, new = _told_before(adapter), wanted_entry(adapter, replica)
    if told is None:
        return None
    old = entry_of(adapter, told.uri, replica)
    missing = new is None or not new.digest
    late = missing and (is_here(old) or (new is not None and new.state is State.FAILED))
    lost = adapter.pinned_uri is None or failed_for_good(new) or late
    return told.uri if lost and not failed_for_good(old) else None


def failed_back(adapter: Adapter, replica: Replica) -> str | None:
    """The version that was told, where it failed for good: it stays wanted, or it would be forgotten and tried anew."""
    told, new = _told_before(adapter), wanted_entry(adapter, replica)
    if told is None or (new and new.state is State.LOADED):
        return None
    return told.uri if failed_for_good(entry_of(adapter, told.uri, replica)) else None


def is_hopeless(adapter: Adapter, replica: Replica) -> bool:
    """Whether the replica will serve no version of it as things are, so that it needs no slot there."""
    lost = adapter.pinned_uri is None or failed_for_good(wanted_entry(adapter, replica))
    return lost and not loaded(adapter, replica) and version_back(adapter, replica) is None


def arrived(adapter: Adapter, homes: Sequence[Replica]) -> bool:
    """True when the wanted version is loaded wherever any version of the adapter serves."""
    uri = adapter.pinned_uri
    held = [{entry.uri for entry in loaded(adapter, replica)} for replica in homes]
    return any(uri in uris for uris in held) and all(uri in uris for uris in held if uris)


def served(adapter: Adapter, replicas: Sequence[Replica], homes: Sequence[Replica]) -> AdapterState | None:
    """The version the public name shall mean now: the wanted one once it has arrived, until then what was told.

    Without either, whatever is loaded, rather than nothing.
    """
    found = _loaded_versions(adapter, replicas)
    uri = adapter.pinned_uri
    wanted = next((version for version in found if version.uri == uri), None)
    if wanted and arrived(adapter, homes):
        return wanted
    told = next((version for version in found if version.engine_name == adapter.told.engine_name), None)
    return told or wanted or (found[0] if found else None)


def history(adapter: Adapter, version: AdapterState | None, now: str) -> tuple[ServedVersion, ...]:
    """What was told, with `version` in front where the names mean it from now on."""
    before = adapter.told.history
    if version is None:
        return before
    again = bool(before) and before[0].engine_name == version.engine_name
    latest = ServedVersion(
        uri=version.uri,
        revision=version.revision,
        digest=version.digest,
        engine_name=version.engine_name,
        since=before[0].since if again else now,
    )
    return (latest, *(one for one in before if one.engine_name != version.engine_name))[:HISTORY]


def _told_before(adapter: Adapter) -> ServedVersion | None:
    """The version that gateways were told of last, where another one is wanted."""
    told = adapter.told_version
    return told if told and told.uri != adapter.pinned_uri else None


def _loaded_versions(adapter: Adapter, replicas: Iterable[Replica]) -> list[AdapterState]:
    found = {entry.uri: entry for replica in replicas for entry in loaded(adapter, replica)}
    return sorted(found.values(), key=lambda entry: (entry.engine_name, entry.uri))
