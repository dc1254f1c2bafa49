"""The loop that keeps one engine at what is wanted: look, decide, start what was decided, tell."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lorikeet.agent.actions import Drain
from lorikeet.agent.board import Board
from lorikeet.agent.calls import Calls, Deadlines
from lorikeet.agent.hands import Hands
from lorikeet.agent.memory import Memory
from lorikeet.agent.plan import Policy, decide, minds_requests
from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.report import report, settled
from lorikeet.agent.seen import Key, Seen
from lorikeet.agent.sight import Glimpse, Sight
from lorikeet.agent.stock import Stock
from lorikeet.api.wire import AdapterState, AgentState, Wanted
from lorikeet.backoff import ELSEWHERE, Backoff
from lorikeet.engine.client import EngineClient

TELL_SHARE = 4.0
TELL_AMONG_LOADS = 0.25
"""Seconds between two states that are told while one load follows the other: the operator thinks about each of them."""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pace:
    """Seconds, unless it says otherwise."""

    policy: Policy = field(default_factory=Policy)
    backoff: Backoff = field(default_factory=lambda: Backoff(cap=ELSEWHERE))
    """What fails for ever asks its source six times an hour at most."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    rhythm: Rhythm = field(default_factory=Rhythm)
    idle: float = 0.4
    """Between looks when nothing happens: a new life of the engine is found by then."""
    busy: float = 0.25
    """Between looks when the engine is away or something is on its way out."""
    note: float = 60.0
    """Between two writes of which adapters are the hottest."""
    operator: float = 30.0
    """An agent that neither an operator nor an earlier life tells what is wanted takes that for nothing."""
    tries: int = 8
    """Failures in a row after which an adapter no longer keeps a replica out of service; a count."""


class Superseded(Exception):
    """The wanted set is of an older leader than the one we heard of, whose epoch is `epoch`."""

    def __init__(self, epoch: int) -> None:
        super().__init__(f"epoch {epoch} was heard already")
        self.epoch = epoch


class Keeper:
    """Keeps `engine` at what `want` was last told: `open` once, then `run` until cancelled.

    `condemn` hears which life of the engine hangs, and the empty name once it moves again.
    """

    def __init__(
        self,
        engine: EngineClient,
        stock: Stock,
        memory: Memory,
        board: Board,
        pace: Pace,
        condemn: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board = board
        self._stock, self._memory, self._sight = stock, memory, Sight(engine, clock, pace.rhythm)
        self._condemn, self._condemned = condemn, ""
        self._pace, self._clock = pace, clock
        calls = Calls(engine, self._sight, memory, pace.deadlines)
        self.hands = Hands(stock, calls, memory, self.wake, clock)
        self._began = clock()
        self._writing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._glimpse: Glimpse | None = None
        self._looked_at, self._untold = clock(), False
        self._told_at, self._telling_took = float("-inf"), 0.0
        self._minds_requests = self._loading = False
        self._hottest: tuple[str, ...] = ()
        self._noted_at = float("-inf")
        self._in_service = ""  # the boot that was settled once

    async def open(self) -> None:
        """Take over what is on the volume. Raises OSError."""
        found = await asyncio.to_thread(self._stock.store.open)
        self._memory.found(found)
        self._hottest = found.hottest

    async def want(self, wanted: Wanted) -> None:
        """From now on serve this, and nothing else; persisted when it returns. Raises Superseded, OSError."""
        async with self._writing:
            memory = self._memory
            if wanted.epoch < memory.wanted.epoch:
                raise Superseded(memory.wanted.epoch)
            if wanted != memory.wanted or not memory.told:
                await asyncio.to_thread(self._stock.store.remember, wanted)
            self.hands.drop(memory.take(wanted))
        self.wake()

    def wake(self) -> None:
        """Look again now."""
        self._wake.set()

    def ready(self) -> bool:
        """Whether the replica may take traffic. Once it could, an adapter that comes later does not take it out."""
        return self._sight.state == "Healthy" and self._in_service == self._sight.boot != ""

    async def run(self) -> None:
        """The loop; ends by cancellation, and with it all that it started."""
        try:
            while True:
                try:
                    await self._pass()
                except Exception:  # whatever it is, the next pass may go well, and the engine must not be left alone
                    log.exception("a pass broke")
                    self._glimpse = None
                await self._pause()
        finally:
            await self.hands.stop()

    async def _pass(self) -> None:
        if await self._sight.look(self._minds_requests, self._loading):
            self._memory.new_boot()
        await self._note()
        glimpse = self._sight.glimpse
        if self._wake.is_set() or glimpse != self._glimpse or self._hurried or self._rest <= 0.0:
            self._think()
            self._glimpse = glimpse

    def _think(self) -> None:
        """Decide, begin what was decided, and tell. With thousands of adapters not for nothing."""
        self._wake.clear()
        self._looked_at = self._clock()
        seen, policy = self._seen(), self._pace.policy
        actions = decide(seen, policy)
        for action in actions:
            self.hands.start(action)
        self._minds_requests = minds_requests(seen, policy) or any(isinstance(action, Drain) for action in actions)
        self._set_loading()
        self._untold = self._clock() < self._tell_at
        if not self._untold:
            began = self._clock()
            self._tell()
            self._told_at = self._clock()
            self._telling_took = self._told_at - began

    @property
    def _tell_at(self) -> float:
        """Thousands of rows are slow to tell: one part in so many of the time at most goes into it."""
        return self._told_at + max(TELL_SHARE * self._telling_took, TELL_AMONG_LOADS if self._loading else 0.0)

    def _set_loading(self) -> None:
        """Whether of the engine loads alone are asked for. After the last of them look at once what it lists."""
        under_way = self.hands.calling.values()
        before, self._loading = self._loading, bool(under_way) and all(call.digest for call in under_way)
        if before and not self._loading and self._sight.stale:
            self.wake()

    async def _note(self) -> None:
        """Pass on and write down what is new in what was seen; what the disk refuses must not stop the loop."""
        hung = self._sight.boot if self._sight.hung else ""
        now, heat = self._clock(), self._memory.heat
        if self._sight.busy is not None:
            heat.saw(now, {name.rpartition("@")[0] for name in self._sight.busy})
        try:
            if hung != self._condemned:
                await asyncio.to_thread(self._condemn, hung)
                self._condemned = hung
            if heat.order != self._hottest and now - self._noted_at >= self._pace.note:
                self._hottest, self._noted_at = heat.order, now
                await asyncio.to_thread(self._stock.store.remember_hottest, self._hottest)
        except OSError as error:
            log.warning("the agent's volumes: %s", error)

    @property
    def _hurried(self) -> bool:
        """Whether the engine is away, or something hangs on what it says next."""
        return self._sight.listed is None or self._sight.stale or self._minds_requests

    @property
    def _rest(self) -> float:
        """Seconds until the next appointment."""
        return min((at - self._clock() for at in self._appointments()), default=float("inf"))

    async def _pause(self) -> None:
        wait = min(self._pace.busy if self._hurried else self._pace.idle, self._rest)
        try:
            async with asyncio.timeout(max(0.005, wait)):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _appointments(self) -> Iterator[float]:
        """When something is to be done or told though nothing happens; what was due at the last look is no reason."""
        memory, looked_at = self._memory, self._looked_at
        times = [failure.retry_at for failure in memory.failures.values() if failure.retry_at is not None]
        times += [balk.retry_at for balk in memory.balks.values()]
        times += [since + self._pace.policy.linger for since in memory.draining.values()]
        times += [call.since + self._pace.policy.patience for call in self.hands.calling.values()]
        times += [self._began + self._pace.operator] if not memory.told else []
        yield from (at for at in times if at > looked_at)
        if self._untold:
            yield self._tell_at

    def _seen(self) -> Seen:
        memory = self._memory
        return Seen(
            now=self._clock(),
            store=self._stock.store.folder,
            wanted=memory.wishes,
            staged=memory.staged(),
            failures=memory.failures,
            listed=self._sight.listed,
            busy=self._sight.busy,
            draining=memory.draining,
            unchecked=self._sight.unchecked,
            calling=self.hands.calling,
            balks=memory.balks,
            fetching=self.hands.fetching,
            removing=self.hands.removing,
            on_disk=frozenset(memory.on_disk),
            held=memory.held(),
            hung=self._sight.hung,
            hottest=memory.heat.order,
            told=memory.told,
            may_fetch=self._stock.model.state.ready,
        )

    def _tell(self) -> None:
        rows = report(self._seen(), self._memory.owners)
        if self._sight.listed is not None:
            self._memory.forget(frozenset(self._sight.listed), frozenset(row.engine_name for row in rows))
        told = self._memory.told or self._clock() - self._began >= self._pace.operator
        self.board.post(self._state(rows, told))
        boot = self._sight.boot
        could = told and self._sight.listed is not None and self._in_service != boot
        if could and settled(self._waited_for(rows, self._pace.tries)):
            self._in_service = boot

    def _state(self, rows: tuple[AdapterState, ...], told: bool) -> AgentState:
        return AgentState(
            seq=0,
            life="",
            boot=self._sight.boot if self._sight.listed is not None else "",
            engine=self._sight.state,
            wanted=self._memory.wanted.id if self._memory.told else "",
            epoch=self._memory.wanted.epoch,
            settled=told and settled(self._waited_for(rows)),
            model=self._stock.model.state,
            adapters=rows,
        )

    def _waited_for(self, rows: tuple[AdapterState, ...], tries: float = float("inf")) -> Iterator[AdapterState]:
        """Without what is only kept, and without what failed `tries` times in a row: a source that is away must not
        keep a replica out of service."""
        wishes, failures = self._memory.wishes, self._memory.failures
        for row in rows:
            wish, failure = wishes.get(key := Key(row.adapter, row.uri)), failures.get(key)
            if (wish is None or wish.load) and (failure is None or failure.attempts < tries):
                yield row
