"""Quotas and turns, through a gateway."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lorikeet.api.apikeys import KeyLimits
from lorikeet.gateway.callers import Caller, Tenant
from lorikeet.gateway.limits import Limits

USAGE = b'{"id":"1","usage":{"prompt_tokens":40,"total_tokens":60,"completion_tokens":20}}'


class ByName:
    """Keys whose text is their caller's name."""

    def __init__(self, *callers: Caller) -> None:
        self._callers = {caller.id: caller for caller in callers}

    def who(self, headers: dict[bytes, bytes]) -> Caller:
        return self._callers[headers[b"x-api-key"].decode()]


def caller(name: str, tenant: Tenant | None = None, **limits: Any) -> Caller:
    return Caller(name, tenant or Tenant(name), limits=KeyLimits(**limits))


def admit(stack: Any, *callers: Caller) -> None:
    object.__setattr__(stack.gateway.answers, "keys", ByName(*callers))


async def ask(stack: Any, name: str, **fields: Any) -> Any:
    return await stack.client.ask(headers=f"x-api-key: {name}\r\n", **fields)


async def until(holds: Any) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0)


async def test_one_request_more_than_the_limit_is_429_with_what_openais_clients_read(
    stack: Any, make_engine: Any
) -> None:
    stack.route(engine := await make_engine())
    admit(stack, caller("a", requests_per_second=2), caller("b"))
    answers = [await ask(stack, "a") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    error = answers[2].json()["error"]
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert "retry-after: 1\r\n" in answers[2].head
    assert "x-ratelimit-remaining-requests: 0\r\n" in answers[2].head
    assert "x-ratelimit-limit-requests: 2\r\n" in answers[0].head
    assert (await ask(stack, "b")).status == 200, "another's limit is another's"
    assert "x-ratelimit" not in (await ask(stack, "b")).head
    assert len(engine.heard) == 4


async def test_keys_of_one_tenant_share_its_limit(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    shared = Tenant("team", limits=KeyLimits(requests_per_second=2))
    admit(stack, caller("a", shared), caller("b", shared))
    assert [(await ask(stack, name)).status for name in ("a", "b", "a", "b")] == [200, 200, 429, 429]


async def test_tokens_are_charged_as_the_engine_counted_them(stack: Any, make_engine: Any, reply_with: Any) -> None:
    stack.route(await make_engine(reply_with(USAGE)))
    admit(stack, caller("a", tokens_per_minute=100))
    answers = [await ask(stack, "a") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert "tokens a minute" in answers[2].json()["error"]["message"]


async def test_a_refused_request_costs_no_tokens(stack: Any, objects: Any) -> None:
    stack.put(objects.server(), objects.adapter())
    admit(stack, caller("a", tokens_per_minute=100))
    body = {"prompt": "x" * 390}
    assert [(await ask(stack, "a", **body)).status for _ in range(5)] == [503] * 5


async def test_requests_at_once_end_with_their_replies_also_when_the_client_leaves(
    stack: Any, make_engine: Any
) -> None:
    go_on = asyncio.Event()

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    stack.route(engine := await make_engine(script))
    admit(stack, caller("a", concurrency=1))
    first = asyncio.create_task(ask(stack, "a"))
    await until(lambda: engine.heard)
    assert (await ask(stack, "a")).status == 429
    first.cancel()
    await until(lambda: b"lorikeet_gateway_in_flight 0.0" in stack.gateway.counters.text())
    go_on.set()
    assert (await ask(stack, "a")).status == 200


@asynccontextmanager
async def narrow(stack_with: Any, objects: Any, engine: Any, **limits: Any) -> AsyncIterator[Any]:
    """One replica that works at one request at a time."""
    async with stack_with(Limits(**limits)) as stack:
        server = objects.server(endpoints={"pod-0": engine.address})
        server["spec"] = {"engine": {"maxNumSeqs": 1}}
        stack.put(server, objects.adapter(pods={"pod-0": objects.digest}))
        yield stack


class Turns:
    """A script that answers one request whenever it is told to."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self._go = asyncio.Semaphore(0)

    async def __call__(self, heard: Any, writer: asyncio.StreamWriter) -> None:
        await self._go.acquire()
        self.served.append(json.loads(heard.body)["user"])
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    def go(self, number: int) -> None:
        for _ in range(number):
            self._go.release()


async def test_a_flood_of_one_tenant_makes_another_wait_for_one_turn_only(
    stack_with: Any, objects: Any, make_engine: Any
) -> None:
    engine = await make_engine(turns := Turns())
    async with narrow(stack_with, objects, engine) as stack:
        admit(stack, caller("flood"), caller("calm"))
        asking = [asyncio.create_task(ask(stack, "flood", user="flood")) for _ in range(40)]
        await until(lambda: stack.gateway.admission.waiting == 39)
        asking.append(asyncio.create_task(ask(stack, "calm", user="calm")))
        await until(lambda: stack.gateway.admission.waiting == 40)
        turns.go(41)
        assert [answer.status for answer in await asyncio.gather(*asking)] == [200] * 41
        assert "calm" in turns.served[:18]
        assert len(engine.heard) == 41
        assert stack.gateway.admission.waiting == 0


async def test_who_asks_for_several_answers_at_once_has_as_many_turns_less(
    stack_with: Any, objects: Any, make_engine: Any
) -> None:
    engine = await make_engine(turns := Turns())
    async with narrow(stack_with, objects, engine) as stack:
        admit(stack, caller("first"), caller("many"), caller("single"))
        asking = [asyncio.create_task(ask(stack, "first", user="first"))]
        await until(lambda: engine.heard)
        for number, name in enumerate(("many", "single")):
            asking += [
                asyncio.create_task(ask(stack, name, user=name, n=16 if name == "many" else 1)) for _ in range(16)
            ]
            await until(lambda: stack.gateway.admission.waiting == 16 * (number + 1))  # noqa: B023
        turns.go(33)
        assert {answer.status for answer in await asyncio.gather(*asking)} == {200}
        before = turns.served[: turns.served.index("many", turns.served.index("many") + 2)]
        assert before.count("single") >= 14, turns.served


async def test_never_more_than_the_replicas_batch_is_asked_at_once(
    stack_with: Any, objects: Any, make_engine: Any
) -> None:
    running = most = 0

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")

    engine = await make_engine(script)
    async with narrow(stack_with, objects, engine) as stack:
        answers = await asyncio.gather(*(stack.client.ask() for _ in range(30)))
        assert {answer.status for answer in answers} == {200}
        assert most == 1


async def test_a_line_has_an_end_and_a_wait_too(stack_with: Any, objects: Any, make_engine: Any) -> None:
    engine = await make_engine(turns := Turns())
    async with narrow(stack_with, objects, engine, queue_length=1, queue_seconds=0.2) as stack:
        admit(stack, caller("a"))
        first = asyncio.create_task(ask(stack, "a", user="first"))
        await until(lambda: engine.heard)
        second = asyncio.create_task(ask(stack, "a", user="second"))
        await until(lambda: stack.gateway.admission.waiting == 1)
        third = await ask(stack, "a", user="third")
        assert (third.status, third.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        late = await second
        assert late.status == 429
        assert "in time" in late.json()["error"]["message"]
        turns.go(1)
        assert (await first).status == 200
        assert turns.served == ["first"]


async def test_who_leaves_the_line_holds_no_place_in_it(stack_with: Any, objects: Any, make_engine: Any) -> None:
    engine = await make_engine(turns := Turns())
    async with narrow(stack_with, objects, engine) as stack:
        admit(stack, caller("a"), caller("b"))
        first = asyncio.create_task(ask(stack, "a", user="first"))
        await until(lambda: engine.heard)
        leaving = [asyncio.create_task(ask(stack, "a", user="left")) for _ in range(5)]
        await until(lambda: stack.gateway.admission.waiting == 5)
        staying = asyncio.create_task(ask(stack, "b", user="stays"))
        await until(lambda: stack.gateway.admission.waiting == 6)
        for task in leaving:
            task.cancel()
        await until(lambda: stack.gateway.admission.waiting == 1)
        turns.go(2)
        assert [(await first).status, (await staying).status] == [200, 200]
        assert turns.served == ["first", "stays"]


async def test_a_new_replica_serves_who_waits(stack_with: Any, objects: Any, make_engine: Any) -> None:
    full, fresh = await make_engine(Turns()), await make_engine()
    async with narrow(stack_with, objects, full) as stack:
        first = asyncio.create_task(stack.client.ask(user="first"))
        await until(lambda: full.heard)
        second = asyncio.create_task(stack.client.ask(user="second"))
        await until(lambda: stack.gateway.admission.waiting == 1)
        pods = {"pod-0": full.address, "pod-1": fresh.address}
        server = objects.server(endpoints=pods)
        server["spec"] = {"engine": {"maxNumSeqs": 1}}
        stack.put(objects.adapter(pods=dict.fromkeys(pods, objects.digest)), server)
        await until(lambda: fresh.heard)
        first.cancel()
        assert (await second).status == 200


async def test_what_is_measured_has_the_objects_name_and_the_log_has_no_word_of_the_prompt(
    stack: Any, make_engine: Any, reply_with: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lorikeet.access")
    stack.gateway.answers.log._share = 1.0
    stack.route(await make_engine(reply_with(USAGE)))
    admit(stack, caller("a"))
    await ask(stack, "a", prompt="my secret prompt")
    text = stack.gateway.counters.text().decode()
    for line in (
        'lorikeet_gateway_tokens_total{model="ns/sql",tenant="a",way="in"} 40.0',
        'lorikeet_gateway_tokens_total{model="ns/sql",tenant="a",way="out"} 20.0',
        'lorikeet_gateway_answers_total{code="2xx",model="ns/sql",replica="pod-0"} 1.0',
        'lorikeet_gateway_request_seconds_count{model="ns/sql"} 1.0',
        'lorikeet_gateway_first_token_seconds_count{model="ns/sql"} 1.0',
    ):
        assert line in text
    (entry,) = [json.loads(record.message) for record in caplog.records if record.name == "lorikeet.access"]
    assert (entry["tenant"], entry["model"], entry["replica"], entry["status"]) == ("a", "ns/sql", "pod-0", 200)
    assert "secret" not in caplog.text
