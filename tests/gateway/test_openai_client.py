"""The official client, through the gateway, at simulated engines behind the real guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from lorikeet.api.keys import Purpose, derive
from lorikeet.api.ref import Ref
from lorikeet.engine.client import EngineClient
from lorikeet.testing.adapters import write_adapter, write_base
from lorikeet.testing.engine import Engine

pytestmark = pytest.mark.slow

ENGINE_NAME = "sql@3f9c1a7d20b4"
ASK: list[Any] = [{"role": "user", "content": "What is a pod?"}]


@dataclass
class World:
    client: openai.AsyncOpenAI
    engines: list[Engine]
    stack: Any


@pytest.fixture
async def world(stack: Any, objects: Any, tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        engines = [await opened.enter_async_context(start_engine(tmp_path / str(n))) for n in range(2)]
        for engine in engines:
            await load(engine)
        pods = {f"pod-{n}": f"127.0.0.1:{engine.port}" for n, engine in enumerate(engines)}
        stack.put(objects.server(endpoints=pods), objects.adapter(pods=dict.fromkeys(pods, objects.digest)))
        base_url = f"http://127.0.0.1:{stack.client.port}/v1"
        # By itself it gives a connection five seconds, which this loop alone can use up on a machine with other work.
        client = openai.AsyncOpenAI(base_url=base_url, api_key="sk-none", max_retries=0, timeout=60)
        yield World(await opened.enter_async_context(client), engines, stack)


def start_engine(folder: Path) -> Engine:
    base = write_base(folder / "base", answers={"What is a pod?": "A group of containers."})
    engine = Engine(base, folder / "run", folder / "adapters")
    engine.inference_key = derive(b"r" * 32, Purpose.INFERENCE, Ref("ns", "qwen"), "uid-qwen")
    return engine


async def load(engine: Engine) -> None:
    path = engine._adapters / "store" / "sql"
    write_adapter(path, answers={"What is a pod?": "SELECT containers;"})
    async with aiohttp.ClientSession() as http:
        await EngineClient(http, engine.url, engine.control_token).load(ENGINE_NAME, str(path))


async def test_base_and_adapter_answer_differently_under_their_public_names(world: World) -> None:
    said = [
        (await world.client.chat.completions.create(model=model, messages=ASK)).choices[0].message.content
        for model in ("base", "sql", "ns:sql")
    ]
    assert said == ["A group of containers.", "SELECT containers;", "SELECT containers;"]


async def test_a_stream_says_the_same_piece_by_piece(world: World) -> None:
    pieces = []
    async for event in await world.client.chat.completions.create(model="sql", messages=ASK, stream=True):
        pieces += [choice.delta.content or "" for choice in event.choices]
    assert "".join(pieces) == "SELECT containers;"
    assert len(pieces) > 2


async def test_answers_name_the_model_that_was_asked(world: World) -> None:
    for model in ("base", "ns:base", "sql", "ns:sql"):
        answer = await world.client.chat.completions.with_raw_response.create(model=model, messages=ASK)
        assert answer.parse().model == model
        assert answer.headers["x-request-id"].startswith("req_")
        events = await world.client.chat.completions.create(model=model, messages=ASK, stream=True)
        assert {event.model async for event in events} == {model}


async def test_usage_passes_through_at_the_end_of_a_stream(world: World) -> None:
    options: Any = {"include_usage": True}
    events = await world.client.chat.completions.create(model="sql", messages=ASK, stream=True, stream_options=options)
    usage = [event.usage async for event in events][-1]
    assert usage is not None
    assert usage.completion_tokens == 2


async def test_the_client_tries_again_by_itself_what_can_be_tried_again(world: World, objects: Any) -> None:
    endpoints = {f"pod-{n}": f"127.0.0.1:{engine.port}" for n, engine in enumerate(world.engines)}
    world.stack.put(objects.server(endpoints=endpoints, unready=tuple(endpoints)))
    patient = world.client.with_options(max_retries=5)
    asking = asyncio.create_task(patient.chat.completions.create(model="base", messages=ASK))
    while b'requests_total{code="503"}' not in world.stack.gateway.counters.text():  # noqa: ASYNC110 - nobody says it
        await asyncio.sleep(0)
    world.stack.put(objects.server(endpoints=endpoints))
    assert (await asking).choices[0].message.content == "A group of containers."


async def test_models_are_listed_and_found(world: World) -> None:
    assert [model.id async for model in world.client.models.list()] == ["base", "sql"]
    assert (await world.client.models.retrieve("ns:sql")).id == "ns:sql"
    with pytest.raises(openai.NotFoundError):
        await world.client.models.retrieve("nobody")


async def test_errors_are_the_clients_own_kinds(world: World, objects: Any) -> None:
    with pytest.raises(openai.NotFoundError, match="`sql`") as missing:
        await world.client.chat.completions.create(model="sqll", messages=ASK)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="cache_salt"):
        await world.client.chat.completions.create(model="sql", messages=ASK, extra_body={"cache_salt": "x"})
    world.stack.put(objects.adapter("cold"))
    with pytest.raises(openai.InternalServerError) as cold:
        await world.client.chat.completions.create(model="cold", messages=ASK)
    assert cold.value.response.headers["retry-after"] == "5"


async def test_an_engine_that_lost_its_adapters_is_passed_over(world: World) -> None:
    await world.engines[0].restart()
    for _ in range(4):
        said = await world.client.chat.completions.create(model="sql", messages=ASK)
        assert said.choices[0].message.content == "SELECT containers;"


async def test_an_engine_that_crashed_is_passed_over(world: World) -> None:
    await world.client.chat.completions.create(model="sql", messages=ASK)
    await world.engines[0].crash()
    for _ in range(4):
        assert await world.client.chat.completions.create(model="sql", messages=ASK)


async def test_a_server_made_anew_refuses_the_old_ones_key_and_the_client_is_told_to_come_back(
    world: World, objects: Any
) -> None:
    pods = {"pod-0": f"127.0.0.1:{world.engines[0].port}"}
    body = objects.server(endpoints=pods)
    body["metadata"]["uid"] = "uid-another"
    world.stack.put(body)
    with pytest.raises(openai.InternalServerError):
        await world.client.chat.completions.create(model="base", messages=ASK)


async def test_a_crash_in_the_middle_of_a_stream_is_an_error_and_no_end(world: World) -> None:
    for engine in world.engines:
        await engine.restart(token_seconds=3600)  # after the opening event nothing comes: however late we crash it
        await load(engine)
    pieces = 0

    async def listen() -> None:
        nonlocal pieces
        async for _ in await world.client.chat.completions.create(model="sql", messages=ASK, stream=True):
            pieces += 1
            await asyncio.gather(*(engine.crash() for engine in world.engines))

    with pytest.raises(openai.APIError, match="went away"):
        await listen()
    assert pieces == 1


async def test_sixty_four_streams_at_once_each_get_their_own_answer(world: World) -> None:
    async def ask(model: str) -> str:
        events = await world.client.chat.completions.create(model=model, messages=ASK, stream=True)
        return "".join([choice.delta.content or "" async for event in events for choice in event.choices])

    said = await asyncio.gather(*(ask(("base", "sql")[n % 2]) for n in range(64)))
    assert said == ["A group of containers.", "SELECT containers;"] * 32
