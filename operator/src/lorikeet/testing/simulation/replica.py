"""One replica on the virtual clock: a real keeper on a real volume, a played engine, and a played kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

from lorikeet.agent.board import Board
from lorikeet.agent.disk import Disk
from lorikeet.agent.keeper import Keeper, Pace, Superseded
from lorikeet.agent.memory import Memory
from lorikeet.agent.stock import Stock
from lorikeet.agent.store import Staged, Store
from lorikeet.agent.supply import Unfit, problem_of
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.wire import ModelState, Resolve, Resolved, Wanted, WantedAdapter
from lorikeet.artifacts.errors import ArtifactError, Unavailable
from lorikeet.engine.client import EngineClient
from lorikeet.testing.builders import digest_of
from lorikeet.testing.simulation.engine import START_SECONDS, UNLOADABLE, SimEngine
from lorikeet.testing.simulation.network import Call, Network, Reply, Session

PROBE, THRESHOLD, RESTART = 2.0, 2, 1.0
"""Seconds between a kubelet's probes, misses in a row that count, and seconds until what died is there again."""
UNFIT = "d" * 40
"""A revision whose bytes are refused before any engine hears of them."""


@dataclass
class SimHub:
    """Branches: repository@branch → commit. `away`: it answers nobody."""

    away: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.05
    asked: list[str] = field(default_factory=list)

    async def answer(self, what: str) -> None:
        """Raises Unavailable."""
        self.asked.append(what)
        await asyncio.sleep(self.seconds)
        if self.away:
            raise Unavailable(Reason.SOURCE_UNAVAILABLE, "the hub does not answer")


class SimSupply:
    """Brings an empty folder for any source; what is in it nobody here reads."""

    def __init__(self, hub: SimHub, store: Store) -> None:
        self._hub, self._store = hub, store

    async def resolve(self, ask: Resolve) -> Resolved:
        await self._hub.answer(ask.uri)
        repo, _, revision = ask.uri.partition("@")
        commit = self._hub.branches.get(ask.uri, revision)
        return Resolved(uri=f"{repo}@{commit}", revision=commit)

    @asynccontextmanager
    async def bring(self, wanted: WantedAdapter, _: object) -> AsyncIterator[tuple[Path, Staged]]:
        await self._hub.answer(wanted.uri)
        revision = wanted.uri.rpartition("@")[2]
        staged = Staged(uri=wanted.uri, revision=revision, digest=digest_of(wanted.uri), rank=8, bytes=1000)
        if revision == UNFIT:
            said = Problem(reason=Reason.RANK_TOO_HIGH, message=f"adapter {wanted.adapter} has rank 64", lasting=True)
            raise Unfit(said, staged)
        room = self._store.room()
        if revision == UNLOADABLE:
            (room / UNLOADABLE).touch()
        yield room, staged


class FastDisk(Disk):
    """Nothing here survives the process anyway."""

    def sync(self, path: Path) -> None:
        pass


@dataclass(frozen=True)
class Place:
    """Where a replica runs, and by which clocks. `set_ready` is how its kubelet tells the API server."""

    pod: str
    ip: str
    folder: Path
    slots: int
    set_ready: Callable[[bool], None]
    clock: Callable[[], float]
    today: Callable[[], datetime]
    later: Callable[[float, Callable[[], None]], object]
    """Seconds, and what is done then."""


class SimReplica:
    """`run` until cancelled."""

    def __init__(self, place: Place, network: Network, hub: SimHub, pace: Pace) -> None:
        self.pod = place.pod
        self.engine = SimEngine(place.pod)
        self._place, self._network, self._hub = place, network, hub
        self._pace = replace(pace, policy=replace(pace.policy, slots=place.slots))
        self._session = Session(network)
        self._lives = 0
        self._keeper: Keeper | None = None
        self._dying = asyncio.Event()

    @property
    def agent_host(self) -> str:
        return f"{self._place.ip}:8001"

    @property
    def engine_host(self) -> str:
        return f"{self._place.ip}:8000"

    def kill_agent(self) -> None:
        """SIGKILL: nothing of it gets out any more; it is started anew after a moment."""
        self._network.cut(self.agent_host)
        self._session.dead = True
        self._dying.set()

    def crash_engine(self) -> None:
        """SIGKILL: its connections break, and it starts anew without its adapters."""
        self._network.cut(self.engine_host)
        self.engine.forget()
        self._place.later(START_SECONDS, self._start_engine)

    def volume(self) -> list[str]:
        """The digests on its disk."""
        store = self._place.folder / "store"
        return sorted(path.name for path in store.iterdir()) if store.exists() else []

    async def run(self) -> None:
        self._start_engine()
        kubelet = asyncio.create_task(self._probe())
        try:
            while True:
                self._dying.clear()
                await self._life()
                await asyncio.sleep(RESTART)
        finally:
            kubelet.cancel()
            self._network.cut(self.agent_host)
            self._network.cut(self.engine_host)

    def _start_engine(self) -> None:
        self._network.hosts[self.engine_host] = self.engine.handle

    async def _life(self) -> None:
        """One agent, until it is killed."""
        self._lives += 1
        self._session = Session(self._network)
        store = Store(self._place.folder, FastDisk())
        memory = Memory(self._pace.backoff, self._place.clock)
        supply = SimSupply(self._hub, store)
        model: Any = SimpleNamespace(state=ModelState(ready=True, revision="m"), facts=None)
        stock = Stock(supply, store, model, memory)  # type: ignore[arg-type]
        engine = EngineClient(self._session, f"http://{self.engine_host}", "token")  # type: ignore[arg-type]
        board = Board(f"{self.pod}-{self._lives}", self._place.today)
        keeper = Keeper(engine, stock, memory, board, self._pace, lambda _: None, self._place.clock)
        await keeper.open()
        self._keeper = keeper
        self._network.hosts[self.agent_host] = Agent(keeper, supply).handle
        running = asyncio.create_task(keeper.run())
        try:
            await self._dying.wait()
        finally:
            self._keeper = None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _probe(self) -> None:
        ready, missed = False, 0
        while True:
            missed = 0 if self._keeper is not None and self._keeper.ready() else missed + 1
            if ready != (missed < THRESHOLD) and (ready or not missed):
                ready = not ready
                self._place.set_ready(ready)
            await asyncio.sleep(PROBE)


class Agent:
    """The agent's HTTP."""

    def __init__(self, keeper: Keeper, supply: SimSupply) -> None:
        self._keeper, self._supply = keeper, supply

    async def handle(self, call: Call) -> Reply:
        answers: dict[tuple[str, str], Callable[[Call], Awaitable[Reply]]] = {
            ("PUT", "/v1/wanted"): self._want,
            ("GET", "/v1/state"): self._state,
            ("POST", "/v1/resolve"): self._resolve,
        }
        return await answers[call.method, call.path](call)

    async def _want(self, call: Call) -> Reply:
        wanted = Wanted.parse(call.body)
        try:
            await self._keeper.want(wanted)
        except Superseded as error:
            return Reply(409, {"message": str(error), "epoch": error.epoch})
        return Reply(200, {"wanted": wanted.id})

    async def _state(self, call: Call) -> Reply:
        query = parse_qs(call.query)
        since, wait = int(query.get("since", ["0"])[0]), float(query.get("wait", ["0"])[0])
        return Reply(200, (await self._keeper.board.after(since, wait)).dump())

    async def _resolve(self, call: Call) -> Reply:
        try:
            return Reply(200, (await self._supply.resolve(Resolve.parse(call.body))).dump())
        except ArtifactError as error:
            problem = problem_of("the source", error)
            return Reply(422 if problem.lasting else 503, problem.dump())


__all__ = ["UNFIT", "UNLOADABLE", "SimHub", "SimReplica"]
