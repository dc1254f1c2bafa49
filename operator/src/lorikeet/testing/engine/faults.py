"""Faults on demand: what can go wrong with an engine, set by a test while it runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


def open_gate() -> asyncio.Event:
    gate = asyncio.Event()
    gate.set()
    return gate


@dataclass
class Faults:
    """Change a field and it holds from the next request on. Gates: `.clear()` hangs, `.set()` lets all go on."""

    server: asyncio.Event = field(default_factory=open_gate)  # every route
    core: asyncio.Event = field(
        default_factory=open_gate
    )  # the engine's loop, loads and tokens: a stall; /health stays 200
    loads: asyncio.Event = field(default_factory=open_gate)  # loads alone
    stuck_loads: set[str] = field(default_factory=set)  # loads of these adapters (before the @) never answer
    stuck_unloads: set[str] = field(default_factory=set)
    lose_replies: dict[str, int] = field(default_factory=dict)  # path → so many times: do it, then cut the connection
    refuse_load: tuple[int, str] | None = None  # answer loads with this status and message, and load nothing
    refuse_unload: tuple[int, str] | None = None  # the same for unloads
    garble_load: str | None = None  # load, then answer with this text instead
    unhealthy: bool = False  # /health answers 503
    lose_adapters: set[str] = field(default_factory=set)  # answer these names as if never loaded
