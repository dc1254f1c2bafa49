"""Which replicas hold which adapter. Pure and stable: same facts, same places; a change moves little."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def place(adapter: str, count: int | None, pods: Iterable[str]) -> frozenset[str]:
    """The pods that shall hold `adapter`: all without `count`, else the `count` that rendezvous hashing prefers."""
    names = sorted(pods)
    if count is None or count >= len(names):
        return frozenset(names)
    return frozenset(sorted(names, key=lambda pod: _weight(adapter, pod), reverse=True)[:count])


def _weight(adapter: str, pod: str) -> bytes:
    return hashlib.sha256(f"{adapter}\0{pod}".encode()).digest()
