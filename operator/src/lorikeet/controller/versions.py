"""Which version of an adapter is wanted, which is served, and when the old one may go. Pure.

wanted uri ──► loaded on every replica that serves ──► public name flips (status) ──► told ──► old one dropped
               until then the old version stays wanted where it is loaded
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorikeet.api.loraadapter import State
from lorikeet.api.wire import AdapterState
from lorikeet.controller.seen import Adapter, Replica


@dataclass(frozen=True)
class Version:
    """Bytes that some replica has loaded."""

    uri: str
    digest: str
    engine_name: str
    rank: int
    bytes: int


def pinned_uri(adapter: Adapter) -> str | None:
    """The wanted source with its revision, such as hf://acme/sql@<commit>; None while that is unknown."""
    pin = adapter.pin
    return f"{pin.uri.split('@', 1)[0]}@{pin.revision}" if pin else None


def loaded(adapter: Adapter, replica: Replica) -> tuple[AdapterState, ...]:
    """The versions of `adapter` that the replica's engine lists and its agent does not drain."""
    return tuple(entry for entry in replica.holds(adapter.ref.name) if entry.state is State.LOADED)


def wanted_entry(adapter: Adapter, replica: Replica) -> AdapterState | None:
    """What the replica says of the wanted version."""
    uri = pinned_uri(adapter)
    return next((entry for entry in replica.holds(adapter.ref.name) if entry.uri == uri), None)


def is_hopeless(adapter: Adapter, replica: Replica) -> bool:
    """Whether the replica will not serve it as things are: nothing is loaded, and what is wanted failed for good."""
    entry = wanted_entry(adapter, replica)
    failed = entry is not None and entry.state is State.FAILED and entry.lasting
    return (failed or pinned_uri(adapter) is None) and not loaded(adapter, replica)


def arrived(adapter: Adapter, places: Sequence[Replica]) -> bool:
    """True when the wanted version is loaded wherever any version of the adapter serves."""
    uri = pinned_uri(adapter)
    held = [{entry.uri for entry in loaded(adapter, replica)} for replica in places if replica.state]
    return any(uri in uris for uris in held) and all(uri in uris for uris in held if uris)


def served(adapter: Adapter, replicas: Sequence[Replica], places: Sequence[Replica]) -> Version | None:
    """The version the public name shall mean now: the wanted one once it has arrived, until then what was told.

    Without either, whatever is loaded, rather than nothing.
    """
    found = _loaded_versions(adapter, replicas)
    uri = pinned_uri(adapter)
    wanted = next((version for version in found if version.uri == uri), None)
    if wanted and arrived(adapter, places):
        return wanted
    told = next((version for version in found if version.engine_name == adapter.told.engine_name), None)
    return told or wanted or (found[0] if found else None)


def kept_uris(adapter: Adapter, replica: Replica, places: Sequence[Replica]) -> tuple[str, ...]:
    """Old versions the replica keeps: all it has loaded, until gateways were told of the wanted one."""
    uri = pinned_uri(adapter)
    old = tuple(entry.uri for entry in loaded(adapter, replica) if entry.uri != uri)
    return old if not (arrived(adapter, places) and _told(adapter, places)) else ()


def _told(adapter: Adapter, places: Sequence[Replica]) -> bool:
    """True when the status that gateways read names the wanted version's engine name."""
    uri = pinned_uri(adapter)
    names = {entry.engine_name for replica in places for entry in loaded(adapter, replica) if entry.uri == uri}
    return adapter.told.engine_name in names


def _loaded_versions(adapter: Adapter, replicas: Iterable[Replica]) -> tuple[Version, ...]:
    found = {
        Version(entry.uri, entry.digest, entry.engine_name, entry.rank, entry.bytes)
        for replica in replicas
        for entry in loaded(adapter, replica)
    }
    return tuple(sorted(found, key=lambda version: (version.engine_name, version.uri)))
