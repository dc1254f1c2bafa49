"""The line to an agent: what is told arrives, what is heard counts, and a silent one is no longer believed."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.wire import Resolve, Resolved, Wanted, WantedAdapter
from lorikeet.backoff import Backoff
from lorikeet.controller import links
from lorikeet.controller.links import Address, AgentError, Link, agent_url
from lorikeet.kube.lease import NotLeader
from lorikeet.testing import builders as b
from lorikeet.testing.agent import ScriptedAgent

ADDRESSES: Iterator[str] = (f"127.6.{os.getpid() % 250}.{number}" for number in itertools.count(1))
TOKEN = "token"
SQL = Wanted(adapters=(WantedAdapter(adapter="sql", uri=b.source_uri("sql")),))


class Line:
    """A link that runs, its agent, and a clock and a lease of the test's own."""

    def __init__(self, agent: ScriptedAgent, session: aiohttp.ClientSession, token: str = TOKEN) -> None:
        self.agent, self.changes, self.now, self.epoch = agent, 0, 0.0, 1
        self.leader = True
        address = Address("a", "uid-a", agent_url(agent.ip), token)
        self.link = Link(session, address, self._changed, self._may_write, lambda: self.now)

    def _changed(self) -> None:
        self.changes += 1

    def _may_write(self) -> int:
        if not self.leader:
            raise NotLeader("not now")
        return self.epoch


@pytest.fixture
async def agent() -> AsyncIterator[ScriptedAgent]:
    async with ScriptedAgent(next(ADDRESSES), TOKEN) as found:
        yield found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "BACKOFF", Backoff(cap=0.05))
    monkeypatch.setattr(links, "CALL_TIMEOUT", 0.5)
    monkeypatch.setattr(links, "POLL_WAIT", 0.1)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


@asynccontextmanager
async def running(line: Line) -> AsyncIterator[Line]:
    task = asyncio.create_task(line.link.run())
    yield line
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def line(agent: ScriptedAgent, session: aiohttp.ClientSession, hasty: None) -> AsyncIterator[Line]:
    async with running(Line(agent, session)) as found:
        yield found


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def waiting(agent: ScriptedAgent) -> int:
    """How many connections the agent has open."""
    assert agent._runner.server
    return len(agent._runner.server.connections)


async def misses(line: Line) -> None:
    """Return once the link has waited in vain."""
    missed = asyncio.Event()
    miss = line.link._missed

    def note(error: Exception, owed: float) -> None:
        miss(error, owed)
        missed.set()

    line.link._missed = note  # type: ignore[method-assign]
    async with asyncio.timeout(5):
        await missed.wait()
    line.link._missed = miss  # type: ignore[method-assign]


async def test_what_is_wanted_arrives_and_is_seen(line: Line) -> None:
    line.link.want(SQL)
    await until(lambda: line.link.state and line.link.state.wanted == SQL.id)
    assert line.agent.pushes[-1].epoch == 1


async def test_what_the_agent_has_already_is_not_sent(line: Line) -> None:
    line.link.want(SQL)
    await until(lambda: line.link.state and line.link.state.wanted == SQL.id)
    pushes, polls = len(line.agent.pushes), line.agent.polls
    line.link.want(SQL)
    await until(lambda: line.agent.polls > polls + 1)
    assert len(line.agent.pushes) == pushes


class Slow(ScriptedAgent):
    """Takes what it is told, and tells how it is, when the test says so."""

    def __init__(self, ip: str, token: str) -> None:
        super().__init__(ip, token)
        self.told = 0
        self.takes, self.tells = asyncio.Event(), asyncio.Event()
        self.tells.set()

    async def _put(self, request: web.Request) -> web.Response:
        self.told += 1
        await self.takes.wait()
        return await super()._put(request)

    async def _get(self, request: web.Request) -> web.Response:
        answer = await super()._get(request)
        await self.tells.wait()
        return answer


async def test_what_an_agent_said_before_it_was_told_does_not_have_it_told_twice(
    session: aiohttp.ClientSession, hasty: None
) -> None:
    async with Slow(next(ADDRESSES), TOKEN) as agent, running(Line(agent, session)) as line:
        await until(lambda: agent.waiting)
        line.link.want(SQL)
        await until(lambda: agent.told)
        await agent.become(lambda state: state)
        polls = agent.polls
        await until(lambda: agent.polls > polls and agent.waiting)
        agent.tells.clear()
        agent.takes.set()
        await until(lambda: agent.pushes)
        for _ in range(3):
            line.link.want(SQL)
            await line.link.resolve(Resolve(uri=b.source_uri("sql")))
        agent.tells.set()
        await until(lambda: line.link.state and line.link.state.wanted == SQL.id)
        assert agent.told == 1


async def test_what_an_agent_had_before_it_was_told_of_something_else_is_sent_again(
    session: aiohttp.ClientSession, hasty: None
) -> None:
    """Nobody has heard yet that it has something else: by what it last said it has what is wanted."""
    async with Slow(next(ADDRESSES), TOKEN) as agent, running(Line(agent, session)) as line:
        agent.takes.set()
        line.link.want(SQL)
        await until(lambda: line.link.state and line.link.state.wanted == SQL.id and agent.waiting)
        agent.tells.clear()
        line.link.want(Wanted())
        await until(lambda: len(agent.pushes) > 1)
        line.link.want(SQL)
        await until(lambda: len(agent.pushes) > 2)
        agent.tells.set()
        await until(lambda: line.link.state and line.link.state.wanted == SQL.id and agent.waiting)


async def test_an_agent_that_forgot_is_told_again(line: Line) -> None:
    line.link.want(SQL)
    await until(lambda: line.link.state and line.link.state.wanted == SQL.id)
    await line.agent.become(lambda state: state.model_copy(update={"wanted": "", "adapters": ()}))
    await until(lambda: line.agent.state.wanted == SQL.id)


async def test_whoever_may_not_write_tells_nothing_until_it_may(line: Line) -> None:
    line.leader = False
    line.link.want(SQL)
    polls = line.agent.polls
    await until(lambda: line.agent.polls > polls + 2)
    assert line.agent.pushes == []
    line.leader = True
    await until(lambda: line.agent.pushes)


async def test_a_push_that_an_agent_refuses_as_an_older_leader_s_is_not_taken(line: Line) -> None:
    line.agent._wanted = Wanted(epoch=9)
    line.link.want(SQL)
    polls = line.agent.polls
    await until(lambda: line.agent.polls > polls + 2)
    assert line.agent.pushes == []
    line.epoch = 10
    await until(lambda: line.agent.pushes)


async def test_a_silent_agent_counts_for_a_while_and_then_no_longer(line: Line) -> None:
    await until(lambda: line.link.state)
    line.agent.deaf = True
    await misses(line)
    assert line.link.state
    changes, line.now = line.changes, links.STALE_AFTER + 0.1
    await until(lambda: line.link.state is None)
    assert line.changes > changes


async def test_one_that_does_not_answer_when_it_is_told_something_is_not_waited_for_elsewhere(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The poll alone would notice after half a minute."""
    monkeypatch.setattr(links, "POLL_WAIT", 30.0)
    await until(lambda: line.agent.polls > 1)  # the second one waits for news
    line.agent.deaf = True
    line.link.want(SQL)
    await misses(line)
    assert line.link.state
    line.now = links.STALE_AFTER + 0.1
    await until(lambda: line.link.state is None)
    assert line.link.last
    line.agent.deaf = False
    await until(lambda: line.link.state)


async def test_an_agent_that_restarts_after_a_long_rest_is_given_as_long_as_any(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "POLL_WAIT", 30.0)
    await until(lambda: line.agent.polls > 1)  # the second one waits for news
    line.now = 20.0
    await line.agent.__aexit__(None, None, None)
    await misses(line)
    assert line.link.state
    line.now += links.STALE_AFTER + 0.1
    await until(lambda: line.link.state is None)


async def test_a_line_is_hung_up_also_at_the_moment_when_a_call_runs_out(
    agent: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop stands still, as on a busy machine, until the call's limit is over: then both come at once."""
    monkeypatch.setattr(links, "CALL_TIMEOUT", 0.2)
    agent.deaf = True
    async with aiohttp.ClientSession() as session:
        line = Line(agent, session)
        running = asyncio.create_task(line.link.run())
        await until(lambda: waiting(agent))
        time.sleep(0.4)  # noqa: ASYNC251 - that is the point
        running.cancel()
        done, _ = await asyncio.wait([running], timeout=2)
        assert done


async def test_one_that_answers_again_is_believed_again(line: Line) -> None:
    await until(lambda: line.link.state)
    line.agent.deaf = True
    await misses(line)
    line.now = links.STALE_AFTER + 0.1
    await until(lambda: line.link.state is None)
    line.agent.deaf = False
    await until(lambda: line.link.state)


async def test_one_that_has_never_answered_is_known_to_have_been_asked(agent: ScriptedAgent) -> None:
    async with aiohttp.ClientSession() as session:
        line = Line(agent, session, token="wrong")
        running = asyncio.create_task(line.link.run())
        await until(lambda: line.link.asked)
        assert line.link.state is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_source_is_resolved_or_the_problem_told(line: Line) -> None:
    assert await line.link.resolve(Resolve(uri="hf://acme/sql@main")) == Resolved(
        uri=f"hf://acme/sql@{b.COMMIT_1}", revision=b.COMMIT_1
    )
    gated = Problem(reason=Reason.SOURCE_GATED, message="acme/sql is gated", lasting=True)
    line.agent.revisions["hf://acme/sql@main"] = gated
    assert await line.link.resolve(Resolve(uri="hf://acme/sql@main")) == gated


async def test_no_answer_at_all_is_the_agent_s_error(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "RESOLVE_TIMEOUT", 0.1)
    line.agent.deaf = True
    with pytest.raises(AgentError):
        await line.link.resolve(Resolve(uri="hf://acme/sql@main"))


def test_an_agent_s_address_takes_either_kind_of_ip() -> None:
    assert agent_url("10.0.0.1") == "http://10.0.0.1:8001"
    assert agent_url("fd00::1") == "http://[fd00::1]:8001"
