"""A server's lines to its pods: which there are, and whom they speak to (P32)."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.backoff import Backoff
from lorikeet.controller import links
from lorikeet.controller.index import Index
from lorikeet.controller.links import Address, Link, agent_url, connections
from lorikeet.controller.world import Lines, World
from lorikeet.kube.client import Kube
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease
from lorikeet.testing import builders as b
from lorikeet.testing.agent import ScriptedAgent

ADDRESSES: Iterator[str] = (f"127.7.{os.getpid() % 250}.{number}" for number in itertools.count(1))
TOKEN = "token"
SQL = Wanted(adapters=(WantedAdapter(adapter="sql", uri=b.source_uri("sql")),))


class AlwaysLeader(Lease):
    """Never asked for."""

    def __init__(self) -> None:
        self.epoch = 1

    def must_hold(self) -> None:
        pass


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "BACKOFF", Backoff(cap=0.05))


@pytest.fixture
async def agents() -> AsyncIterator[list[ScriptedAgent]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(ScriptedAgent(next(ADDRESSES), TOKEN)) for _ in range(2)]


@pytest.fixture
async def lines() -> AsyncIterator[Lines]:
    async with connections() as session:
        kube = Kube.__new__(Kube)
        world = World(kube, Index(), AlwaysLeader(), Events(kube, "test"), b.installation(), session, time.monotonic)
        found = Lines(world, lambda: None)
        yield found
        await found.close()


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def address(agent: ScriptedAgent, uid: str = "uid") -> Address:
    return Address("qwen-0", uid, agent_url(agent.ip), TOKEN)


async def heard(lines: Lines, where: Address) -> Link:
    """The line to the pod once it has heard something."""
    lines.keep_only({where.pod: where})
    link = lines.link(where.pod)
    assert link
    await until(lambda: link.state)
    return link


async def told(lines: Lines, agent: ScriptedAgent) -> None:
    """Until the pod's agent has what is wanted and its line waits for news."""
    link = await heard(lines, address(agent))
    link.want(SQL)
    await until(lambda: link.state and link.state.wanted == SQL.id and agent.waiting)


async def test_a_pod_of_the_same_name_with_another_address_has_said_nothing_yet(
    lines: Lines, agents: list[ScriptedAgent]
) -> None:
    """Its machine was off: the pod is the same, what ran in it is not."""
    before = await heard(lines, address(agents[0]))
    after = address(agents[1])
    lines.keep_only({after.pod: after})
    now = lines.link(after.pod)
    assert now
    assert now is not before
    assert (now.state, now.last, now.asked) == (None, None, False)
    await until(lambda: now.state)
    assert agents[1].polls


async def test_another_pod_of_the_same_name_has_said_nothing_yet_wherever_it_is(
    lines: Lines, agents: list[ScriptedAgent]
) -> None:
    before = await heard(lines, address(agents[0], "one"))
    lines.keep_only({"qwen-0": address(agents[0], "two")})
    now = lines.link("qwen-0")
    assert now
    assert now is not before
    assert now.state is None


async def test_whoever_has_the_address_of_a_pod_that_is_gone_hears_nothing(
    lines: Lines, agents: list[ScriptedAgent]
) -> None:
    """The poll that waited does not go on, and what is wanted now is told to the new pod alone."""
    gone, new = agents
    await told(lines, gone)
    polls, pushes = gone.polls, len(gone.pushes)
    await told(lines, new)
    await gone.become(lambda state: state)
    await new.become(lambda state: state)
    polled = new.polls
    await until(lambda: new.polls > polled and new.waiting)
    assert (gone.polls, len(gone.pushes)) == (polls, pushes)


async def test_there_may_be_more_agents_without_news_than_a_hundred() -> None:
    """Each poll holds a connection for half a minute: were there too few, nobody could be told anything meanwhile."""
    held: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    async with silent, connections() as session:
        polls = [asyncio.create_task(session.get(url)) for _ in range(120)]
        try:
            await until(lambda: len(held) == len(polls))
        finally:
            for poll in polls:
                poll.cancel()
            await asyncio.gather(*polls, return_exceptions=True)
            for writer in held:
                writer.close()


async def test_a_machine_that_acknowledges_nothing_ends_the_poll() -> None:
    """At rest nothing would be said for half a minute, and nobody would know that the power is gone."""
    async with connections() as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        made = session.connector._socket_factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1)))  # type: ignore[misc]
        with made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == links.GONE_AFTER * 1000
