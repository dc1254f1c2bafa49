"""A scripted agent: speaks the wire of `lorikeet.api.wire`, holds whatever it is told, and fails on command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from lorikeet.api.conditions import Problem
from lorikeet.api.loraadapter import State
from lorikeet.api.ref import engine_name
from lorikeet.api.wire import AGENT_PORT, AdapterState, AgentState, ModelState, Resolve, Resolved, Wanted, WantedAdapter
from lorikeet.testing.builders import COMMIT_1, NOW, digest_of


class ScriptedAgent:
    """`async with ScriptedAgent("127.0.1.1", token) as agent:` and then break it."""

    def __init__(self, ip: str, token: str, grace: float = 0.0) -> None:
        """`grace`: seconds for which a version that shall go stays registered, for gateways with an old table."""
        self.ip, self._token, self._grace = ip, token, grace
        self.pushes: list[Wanted] = []
        self.polls = 0
        self.waiting = 0
        """Polls that wait for a change now."""
        self.revisions: dict[str, str | Problem] = {}
        """Source → what it means; COMMIT_1 where nothing is said."""
        self.failing: dict[str, Problem] = {}
        """Adapter, or the URI of one version → why it cannot be loaded."""
        self.held: set[str] = set()
        """Adapters, or URIs of versions, that stay in Fetching until `release`."""
        self.fetched: list[str] = []
        """What it has fetched, in order: what is on its disk is not fetched again."""
        self.stuck: dict[str, str] = {}
        """Adapter → why the engine does not unload it."""
        self.deaf = False
        """Accept connections and answer nothing."""
        self.state = AgentState(
            seq=1, life=f"life-{id(self)}", boot="boot-1", engine="Healthy", model=ModelState(ready=True, revision="m")
        )
        self._wanted = Wanted()
        self._on_disk: set[tuple[str, str]] = set()
        self._going: dict[str, AdapterState] = {}
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application(middlewares=[self._guard])
        app.router.add_put("/v1/wanted", self._put)
        app.router.add_get("/v1/state", self._get)
        app.router.add_post("/v1/resolve", self._resolve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.ip, AGENT_PORT, reuse_address=True).start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        await self._runner.cleanup()

    def loaded(self) -> set[str]:
        """The engine names it says are loaded."""
        return {entry.engine_name for entry in self.state.adapters if entry.state is State.LOADED}

    def registered(self) -> set[str]:
        """The engine names that its engine answers to: those that are loaded, and those on their way out."""
        return self.loaded() | set(self._going)

    async def release(self, held: str) -> None:
        """Let a held adapter or version be loaded."""
        self.held.discard(held)
        await self._settle()

    async def let_go(self, adapter: str) -> None:
        """Let the engine unload what was stuck."""
        self.stuck.pop(adapter, None)
        self._going = {name: entry for name, entry in self._going.items() if entry.adapter != adapter}
        await self._settle()

    async def become(self, change: Callable[[AgentState], AgentState]) -> None:
        """Change the state, as an event in the replica would."""
        async with self._changed:
            self.state = change(self.state).model_copy(update={"seq": self.state.seq + 1})
            self._changed.notify_all()

    async def _settle(self) -> None:
        wishes = self._wanted.adapters
        entries = tuple(self._entry(wanted) for wanted in wishes)
        self._let_go(entries)
        there = {(entry.adapter, entry.uri) for entry in entries if entry.digest}
        self.fetched += sorted(uri for _, uri in there - self._on_disk)
        self._on_disk = there
        waited_for = [entry for entry, wanted in zip(entries, wishes, strict=True) if wanted.load]
        settled = all(entry.state in (State.LOADED, State.FAILED) for entry in waited_for)
        shown = {(entry.adapter, entry.uri): entry for entry in (*entries, *self._going.values())}
        update = {
            "adapters": tuple(shown.values()),
            "wanted": self._wanted.id,
            "epoch": self._wanted.epoch,
            "settled": settled,
        }
        await self.become(lambda state: state.model_copy(update=update))

    def _let_go(self, entries: tuple[AdapterState, ...]) -> None:
        loaded = {entry.engine_name for entry in entries if entry.state is State.LOADED}
        self._going = {name: entry for name, entry in self._going.items() if name not in loaded}
        for entry in self.state.adapters:
            why = self.stuck.get(entry.adapter, "")
            if (self._grace or why) and entry.state is State.LOADED and entry.engine_name not in loaded:
                self._going[entry.engine_name] = entry.model_copy(update={"state": State.DRAINING, "message": why})
                if not why:
                    asyncio.get_running_loop().call_later(self._grace, self._gone, entry.engine_name)

    def _gone(self, name: str) -> None:
        if self._going.pop(name, None):
            self._settling = asyncio.create_task(self._settle())

    def _entry(self, wanted: WantedAdapter) -> AdapterState:
        revision = wanted.uri.rsplit("@", 1)[-1]
        common = {"adapter": wanted.adapter, "uri": wanted.uri, "revision": revision, "since": NOW}
        if problem := self.failing.get(wanted.uri) or self.failing.get(wanted.adapter):
            return AdapterState.model_validate(
                {**common, "state": State.FAILED, "reason": problem.reason, "message": problem.message, "lasting": True}
            )
        if {wanted.adapter, wanted.uri} & self.held:
            return AdapterState.model_validate({**common, "state": State.FETCHING})
        digest = digest_of(wanted.uri)
        names = {"digest": digest, "engine_name": engine_name(wanted.adapter, digest), "rank": 8, "bytes": 1000}
        return AdapterState.model_validate({**common, **names, "state": State.LOADED if wanted.load else State.STAGED})

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.deaf:
            await asyncio.Event().wait()
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            return web.json_response({"error": "unauthorized"}, status=401)
        return await handler(request)

    async def _put(self, request: web.Request) -> web.Response:
        wanted = Wanted.parse(await request.json())
        if wanted.epoch < self._wanted.epoch:
            return web.json_response({"error": "older leader"}, status=409)
        self.pushes.append(wanted)
        self._wanted = wanted
        await self._settle()
        return web.json_response({"wanted": wanted.id})

    async def _get(self, request: web.Request) -> web.Response:
        self.polls += 1
        same_life = request.query.get("life", self.state.life) == self.state.life
        since = int(request.query.get("since", 0)) if same_life else 0
        wait = float(request.query.get("wait", 0))
        async with self._changed:
            self.waiting += 1
            try:
                await asyncio.wait_for(self._changed.wait_for(lambda: self.state.seq > since), wait)
            except TimeoutError:
                pass
            finally:
                self.waiting -= 1
        return web.json_response(self.state.dump())

    async def _resolve(self, request: web.Request) -> web.Response:
        question = Resolve.parse(await request.json())
        answer = self.revisions.get(question.uri, COMMIT_1)
        if isinstance(answer, Problem):
            return web.json_response(answer.dump(), status=422 if answer.lasting else 503)
        pinned = f"{question.uri.split('@', 1)[0]}@{answer}"
        return web.json_response(Resolved(uri=pinned, revision=answer).dump())
