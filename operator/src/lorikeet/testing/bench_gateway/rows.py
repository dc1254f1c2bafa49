"""What is asked of each gateway, and what is measured of it."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lorikeet.testing.bench.meter import used
from lorikeet.testing.bench_gateway.load import Load, request, run, run_paced
from lorikeet.testing.bench_gateway.subject import KEY

FAILED = "failed"
Measured = dict[str, list[float] | str]
"""By what it is, a number for each round; or under `failed` why there is none."""
Found = dict[str, float]
RATE = 1000
STREAMS = 2500


@dataclass(frozen=True)
class Subject:
    """A process that listens. `share` of the requests is enough for it."""

    pid: int
    port: int
    share: float


async def small(subject: Subject, engine: Subject, scale: float) -> Found:
    """A chat request of 0.4 KB, a reply of 0.8 KB, over 32 connections."""
    load = Load(request("sql", KEY), number(20_000, subject, scale))
    return await cost(subject, load, 32)


async def chunk(subject: Subject, engine: Subject, scale: float) -> Found:
    """100 streams of 200 events, one each 10 ms."""
    load = Load(request("sql", KEY, stream=True), number(300, subject, scale))
    return await cost(subject, load, 100, events=True)


async def long_prompt(subject: Subject, engine: Subject, scale: float) -> Found:
    """A chat request of 225 KB over 16 connections."""
    load = Load(request("sql", KEY, 225_000), number(1_500, subject, scale))
    return await cost(subject, load, 16)


async def paced(subject: Subject, engine: Subject, scale: float) -> Found:
    """1,000 small requests a second; their cost, and what the gateway adds to the engine's own delay."""
    count = int(5 * RATE * scale)
    delays, spent = [], 0.0
    for each in (engine, subject):
        load = Load(request("sql", KEY), count)
        before = used(subject.pid)
        await run_paced(load, each.port, 64, RATE)
        spent = used(subject.pid).cpu - before.cpu
        check(load)
        delays.append(statistics.quantiles(load.delays, n=100))
    added = {f"p{which} ms": (delays[1][which - 1] - delays[0][which - 1]) * 1000 for which in (50, 99)}
    return {"us": spent / count * 1e6, **added}


async def live(subject: Subject, engine: Subject, scale: float) -> Found:
    """2,500 streams at once, two events a second each."""
    streams = int(STREAMS * scale)
    found = await cost(subject, Load(request("sql", KEY, stream=True, slow=True), streams), streams, events=True)
    return found | {"MB": used(subject.pid).memory / 2**20}


ROWS: dict[str, Callable[[Subject, Subject, float], Awaitable[Found]]] = {
    "request": small,
    "chunk": chunk,
    "225 KB": long_prompt,
    "1000/s": paced,
    "2500 streams": live,
}
HARD = frozenset({"1000/s", "2500 streams"})
"""Rows that ask more than a slow gateway can do."""


async def cost(subject: Subject, load: Load, connections: int, *, events: bool = False) -> Found:
    """Microseconds of CPU for each reply, or for each event."""
    before = used(subject.pid)
    await run(load, subject.port, min(connections, load.number))
    after = used(subject.pid)
    check(load)
    return {"us": (after.cpu - before.cpu) / (load.events if events else load.replies) * 1e6}


def number(whole: int, subject: Subject, scale: float) -> int:
    """How many to ask."""
    return max(16, int(whole * scale * subject.share))


def check(load: Load) -> None:
    """Raises RuntimeError unless every request was answered well."""
    if load.replies != load.number:
        raise RuntimeError(f"{load.replies} of {load.number} replies: {load.wrong}")
