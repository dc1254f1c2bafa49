"""Questions about sources: each by itself, put once, until there is an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import Ref
from lorikeet.api.wire import Resolve as Question
from lorikeet.api.wire import Resolved
from lorikeet.backoff import Backoff
from lorikeet.controller import resolver
from lorikeet.controller.actions import Resolve
from lorikeet.controller.links import AgentError, Link
from lorikeet.controller.resolver import Resolver, key_of
from lorikeet.testing import builders as b

URI = "hf://acme/sql@main"
ASK = Resolve(Ref(b.NAMESPACE, "sql"), "uid-sql", URI, None)
KEY = key_of("uid-sql", URI, None)
ANSWER = Resolved(uri=f"hf://acme/sql@{b.COMMIT_1}", revision=b.COMMIT_1)
LATER = Problem(reason=Reason.SOURCE_UNAVAILABLE, message="the hub answers 500")
NEVER = Problem(reason=Reason.SOURCE_NOT_FOUND, message="there is no acme/sql", lasting=True)


class Agent:
    """Answers from a script, the last answer for ever."""

    def __init__(self, *answers: Resolved | Problem | AgentError) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self, question: Question) -> Resolved | Problem:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await asyncio.sleep(0)
        if isinstance(answer, AgentError):
            raise answer
        return answer


class Desk:
    """A resolver, the agents it may ask, and how often it said that something changed."""

    def __init__(self) -> None:
        self.agents: list[Agent] = []
        self.changes = 0
        self.resolver = Resolver(lambda: cast("list[Link]", self.agents), self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
async def desk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(resolver, "BACKOFF", Backoff(first=0.001))
    found = Desk()
    yield found
    await found.resolver.close()


async def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def test_an_answer_is_kept_and_the_question_not_put_again(desk: Desk) -> None:
    desk.agents = [Agent(ANSWER)]
    desk.resolver.ask(ASK)
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY) == ANSWER)
    desk.resolver.ask(ASK)
    await asyncio.sleep(0)
    assert (desk.agents[0].asked, desk.changes) == (1, 1)


async def test_an_agent_that_does_not_answer_leaves_it_to_the_next(desk: Desk) -> None:
    desk.agents = [Agent(AgentError("hung")), Agent(ANSWER)]
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY) == ANSWER)


async def test_a_source_that_is_down_is_asked_again_and_said_once(desk: Desk) -> None:
    desk.agents = [Agent(LATER, LATER, LATER, ANSWER)]
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY) == LATER)
    await until(lambda: desk.resolver.answer(KEY) == ANSWER)
    assert desk.changes == 2


async def test_a_source_that_says_no_is_left_alone_for_minutes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.agents = [Agent(NEVER, ANSWER)]
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY) == NEVER)
    assert (desk.agents[0].asked, resolver.REFUSED.first) == (1, 600.0)
    desk.resolver.keep_only(())
    monkeypatch.setattr(resolver, "REFUSED", Backoff(first=0.001))
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY) == ANSWER)


async def test_without_any_agent_it_says_so_and_waits_for_one(desk: Desk) -> None:
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY))
    answer = desk.resolver.answer(KEY)
    assert isinstance(answer, Problem)
    assert answer.reason is Reason.AGENT_UNREACHABLE
    desk.agents = [Agent(ANSWER)]
    await until(lambda: desk.resolver.answer(KEY) == ANSWER)


async def test_a_changed_source_or_another_object_is_another_question() -> None:
    assert len({KEY, key_of("uid-2", URI, None), key_of("uid-sql", URI, "token"), key_of("uid-sql", "x", None)}) == 4


async def test_what_nobody_asks_any_more_is_forgotten(desk: Desk) -> None:
    desk.agents = [Agent(LATER)]
    desk.resolver.ask(ASK)
    await until(lambda: desk.resolver.answer(KEY))
    desk.resolver.keep_only(())
    assert not desk.resolver.asking(KEY)
    assert desk.resolver.answer(KEY) is None


async def test_one_that_hangs_delays_no_other(desk: Desk) -> None:
    class Hung(Agent):
        async def resolve(self, question: Question) -> Resolved | Problem:
            if question.uri == URI:
                await asyncio.Event().wait()
            return ANSWER

    desk.agents = [Hung(ANSWER)]
    desk.resolver.ask(ASK)
    desk.resolver.ask(Resolve(Ref(b.NAMESPACE, "other"), "uid-other", "hf://acme/other@main", None))
    await until(lambda: desk.resolver.answer(key_of("uid-other", "hf://acme/other@main", None)) == ANSWER)
    assert desk.resolver.asking(KEY)
