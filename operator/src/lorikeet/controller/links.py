"""The operator's line to each agent: one long poll that hears, one loop that tells. A hung agent holds up only its own.

Link.state      what the agent last said; None once it has been silent for STALE_AFTER
Link.last       the same, however long it has been silent since
Link.want(set)  returns at once; the link sends it, again and again, until the agent has it
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import aiohttp
from pydantic import ValidationError

from lorikeet.api.conditions import Problem
from lorikeet.api.wire import AGENT_PORT, AgentState, Resolve, Resolved, Wanted
from lorikeet.backoff import Backoff, Tries
from lorikeet.keepalive import keep_alive
from lorikeet.kube.lease import NotLeader

log = logging.getLogger(__name__)

POLL_WAIT = 30.0
"""Seconds one long poll may last: at rest this is all the traffic there is."""
CALL_TIMEOUT = 5.0
RESOLVE_TIMEOUT = 60.0
STALE_AFTER = 4.0
"""Seconds of silence after which what an agent said no longer counts."""
GONE_AFTER = 3
"""Seconds after which a machine that acknowledges nothing ends a poll: its power is gone, and it will not say so."""
BACKOFF = Backoff(cap=1.5)


class AgentError(Exception):
    """The agent did not answer, or not as agreed: later."""


class Unanswered(AgentError):
    """It did not answer at all."""


@dataclass(frozen=True)
class Address:
    """Where and as whom an agent is asked. A new pod at the same IP is a new address."""

    pod: str
    pod_uid: str
    url: str
    token: str


def agent_url(ip: str) -> str:
    """The agent's address on a pod's IP, v4 or v6."""
    return f"http://[{ip}]:{AGENT_PORT}" if ":" in ip else f"http://{ip}:{AGENT_PORT}"


class Link:
    """The line to one agent. `run` until cancelled."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        address: Address,
        changed: Callable[[], None],
        may_write: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        """`changed` is called when `state` is another; `may_write` gives the lease's epoch or raises NotLeader."""
        self.address = address
        self.state: AgentState | None = None
        self.last: AgentState | None = None
        self.asked = False
        self._session, self._changed, self._may_write, self._clock = session, changed, may_write, clock
        self._wanted: Wanted | None = None
        self._news = asyncio.Event()
        self._taken: str | None = None
        """The set that the agent took, until it says in a state what it has."""
        self._told, self._telling = 0, False
        """Pushes that have ended, and whether one is under way."""
        self._patience: asyncio.Timeout | None = None
        """Of the poll that is under way."""
        self._silent_since: float | None = None

    def want(self, wanted: Wanted) -> None:
        """Make the agent hold exactly `wanted`; seen in `state` once it does."""
        if self._wanted is None or self._wanted.id != wanted.id:
            log.info("%s: adapter versions to hold: %d", self.address.pod, len(wanted.adapters))
        self._wanted = wanted
        self._news.set()

    async def run(self) -> None:
        """Hear and tell until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._hear())
            tasks.create_task(self._tell())

    async def resolve(self, question: Resolve) -> Resolved | Problem:
        """Which revision a source means now. `AgentError` where the agent has no answer at all."""
        status, body = await self._call("POST", "/v1/resolve", question.dump(), RESOLVE_TIMEOUT)
        kind = Resolved if status == HTTPStatus.OK else Problem
        try:
            return kind.parse(body)
        except ValidationError as error:
            raise AgentError(f"resolve: {status} {body}") from error

    async def _hear(self) -> None:
        tries = Tries(BACKOFF)
        while True:
            owed = self._clock() + (POLL_WAIT if self.state else 0)
            told = self._told
            try:
                self._take(await self._poll(), told)
                tries.succeeded()
            except (AgentError, ValidationError) as error:
                self._missed(error, owed)
                await asyncio.sleep(tries.failed())

    async def _poll(self) -> AgentState:
        if self.state is None:
            path, limit = "/v1/state", CALL_TIMEOUT
        else:
            since = f"since={self.state.seq}&life={self.state.life}"
            path, limit = f"/v1/state?{since}&wait={POLL_WAIT:g}", POLL_WAIT + CALL_TIMEOUT
        try:
            async with asyncio.timeout(limit) as self._patience:
                status, body = await self._call("GET", path, None, limit)
        except TimeoutError as error:
            raise Unanswered(f"GET {path}: no answer, here or elsewhere") from error
        finally:
            self._patience = None
        if status != HTTPStatus.OK:
            raise AgentError(f"state: {status} {body}")
        return AgentState.parse(body)

    def _doubt(self, since: float) -> None:
        """It owes an answer `since` it was told something: what it may yet say to the poll is not worth the wait."""
        if self._silent_since is None:
            self._silent_since = since
        if self._patience and self.state is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    def _take(self, state: AgentState, told: int) -> None:
        """`told`: how many pushes had ended when this was asked for. What was said meanwhile it may not know yet."""
        self._silent_since = None
        different = not self.asked or state != self.state
        self.state, self.last, self.asked = state, state, True
        if state.wanted == self._taken or (told == self._told and not self._telling):
            self._taken = None
        if self._taken is None and not self._telling:
            self._news.set()
        if different:
            self._changed()

    def _missed(self, error: Exception, owed: float) -> None:
        """No answer came. Until `owed` none was due, and a line that breaks before has been in order so long."""
        log.debug("%s at %s: %s", self.address.pod, self.address.url, error)
        if self._silent_since is None:
            self._silent_since = min(self._clock(), owed)
        silent = self._clock() - self._silent_since > STALE_AFTER
        if (silent and self.state is not None) or not self.asked:
            self.state, self.asked = None, True
            self._changed()

    async def _tell(self) -> None:
        tries = Tries(BACKOFF)
        while True:
            await self._news.wait()
            self._news.clear()
            wanted = self._wanted
            if wanted is None or self._has(wanted):
                continue
            began = self._clock()
            try:
                await self._push(wanted)
                tries.succeeded()
            except (AgentError, NotLeader) as error:
                if isinstance(error, Unanswered):
                    self._doubt(began)
                pause = tries.failed()
                log.warning("%s at %s: %s; again in %.1f s", self.address.pod, self.address.url, error, pause)
                await asyncio.sleep(pause)
                self._news.set()

    def _has(self, wanted: Wanted) -> bool:
        has = self._taken or (self.state.wanted if self.state else None)
        return has == wanted.id

    async def _push(self, wanted: Wanted) -> None:
        body = Wanted(adapters=wanted.adapters, epoch=self._may_write()).dump()
        self._taken, self._telling = None, True
        try:
            status, answer = await self._call("PUT", "/v1/wanted", body, CALL_TIMEOUT)
        finally:
            self._told, self._telling = self._told + 1, False
        if status >= HTTPStatus.BAD_REQUEST:
            raise AgentError(f"wanted set refused: {status} {answer}")
        self._taken = wanted.id

    async def _call(self, method: str, path: str, body: dict[str, Any] | None, limit: float) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.address.token}"}
        url = self.address.url + path
        # The limit is asyncio's: aiohttp's own total swallows a cancellation that comes at the same moment as it runs
        # out, and a line that nobody can hang up would hold up the end of all of them.
        timeout = aiohttp.ClientTimeout(connect=CALL_TIMEOUT)
        how: dict[str, Any] = {"json": body, "headers": headers, "timeout": timeout}
        try:
            async with asyncio.timeout(limit), self._session.request(method, url, **how) as reply:
                return reply.status, await reply.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise Unanswered(f"{method} {path}: {error!r}") from error


def connections() -> aiohttp.ClientSession:
    """For all lines. As many as there are agents: each poll holds one, and aiohttp would stop at a hundred."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket))


def _socket(to: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, *_ = to
    made = socket.socket(family, kind, protocol)
    keep_alive(made, GONE_AFTER)
    return made
