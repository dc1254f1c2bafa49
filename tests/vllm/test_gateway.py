"""The gateway before an engine, asked by OpenAI's own client: the simulator, and with `-m vllm` the real vLLM."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import openai
import pytest

from lorikeet.api.keys import Purpose, derive
from lorikeet.api.ref import Ref, engine_name
from lorikeet.engine.client import EngineClient
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.gateway import Gateway
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.testing.adapters import write_adapter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT_KEY = b"r" * 32
SERVER = Ref("ns", "qwen")
NAMES = ("parrot", "pirate", "poet")
QUESTIONS = ("What is a pod?", "What is LoRA?", "Who are you?")
CLIENTS, FLIPS = 4, 12


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    folder: Path
    adapters: Path
    inference_key: str
    port: int
    real: bool
    env: dict[str, str]

    def start(self) -> None: ...
    def kill(self) -> None: ...


@dataclass
class Front:
    """A gateway that knows one server, whose only replica is the engine."""

    engine: Engine
    client: EngineClient
    catalog: Catalog
    ask: openai.AsyncOpenAI

    async def load(self, name: str, seed: int) -> str:
        """Version `seed` of an adapter; what the engine calls it."""
        digest = digest_of(seed)
        folder = self.engine.adapters / f"gateway-{name}-{seed}"
        if not folder.exists():
            write_adapter(folder, seed=seed)
        await self.client.load(engine_name(name, digest), str(folder))
        return engine_name(name, digest)

    def serve(self, name: str, *seeds: int) -> None:
        """Status lists these versions of `name`; the first is what the name means."""
        digests = [digest_of(seed) for seed in seeds]
        replicas = [{"pod": "pod-0", "digest": digest, "state": "Loaded"} for digest in digests]
        told = {"engineName": engine_name(name, digests[0]), "names": [name], "replicas": replicas}
        body = {"metadata": meta(name), "spec": {"modelServerRef": {"name": SERVER.name}}, "status": told}
        self.catalog.put(AdapterRow.parse(body))

    async def chat(self, model: str, question: str) -> str:
        said = await self.ask.chat.completions.create(
            model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=16
        )
        assert said.model == model
        return said.choices[0].message.content or ""


def digest_of(seed: int) -> str:
    return f"{seed:012x}" + "0" * 52


def meta(name: str) -> dict[str, str]:
    return {"namespace": SERVER.namespace, "name": name, "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"}


@pytest.fixture
async def front(engine: Engine, client: EngineClient) -> AsyncIterator[Front]:
    key_file = engine.folder / "run/inference-key"
    key_file.write_text(derive(ROOT_KEY, Purpose.INFERENCE, SERVER, "u"))
    catalog = Catalog()
    status = {
        "modelName": "base",
        "endpoints": [{"pod": "pod-0", "address": f"127.0.0.1:{engine.port}", "ready": True}],
    }
    catalog.put(ServerRow.parse({"metadata": meta(SERVER.name), "spec": {}, "status": status}))
    gateway = Gateway(catalog, ROOT_KEY, Limits(cold_seconds=0), asyncio.get_running_loop())
    port = await gateway.listen("127.0.0.1", 0)
    async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="-", max_retries=0) as ask:
        yield Front(engine, client, catalog, ask)
    await gateway.drain(0, 0)
    key_file.write_text(engine.inference_key)


async def test_while_versions_come_and_go_each_answer_is_one_of_the_asked_adapters_own(front: Front) -> None:
    """P5, through names as clients write them: the reference of each version is its answers when it came."""
    seeds = {name: [number, number + len(NAMES)] for number, name in enumerate(NAMES)}
    reference: dict[str, dict[str, set[str]]] = {name: {asked: set() for asked in QUESTIONS} for name in NAMES}
    for name in NAMES:
        for seed in reversed(seeds[name]):
            engine = await front.load(name, seed)
            front.serve(name, seed)
            for asked in QUESTIONS:
                reference[name][asked].add(await front.chat(name, asked))
            if seed != seeds[name][0]:
                await front.client.unload(engine)
    base = {asked: await front.chat("base", asked) for asked in QUESTIONS}
    wrong: list[str] = []
    answered, over = 0, False

    async def client(number: int) -> None:
        nonlocal answered
        while not over:
            number += 1
            name, asked = NAMES[number % 3], QUESTIONS[number // 3 % 3]
            said = await front.chat(name, asked)
            if said not in reference[name][asked] or said == base[asked]:
                wrong.append(f"{name}: {said!r}")
            answered += 1

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    try:
        for flip in range(FLIPS):
            name = NAMES[flip % 3]
            old, new = seeds[name]
            await front.load(name, new)
            front.serve(name, new, old)
            before = answered
            while answered < before + CLIENTS:  # whoever asked the old version has been answered
                await asyncio.wait(clients, timeout=0.05)
            front.serve(name, new)
            await asyncio.wait(clients, timeout=0.05)
            await front.client.unload(engine_name(name, digest_of(old)))
            seeds[name] = [new, old]
    finally:
        over = True
        await asyncio.gather(*clients)
    assert wrong == []
    assert answered > FLIPS * CLIENTS


@pytest.mark.parametrize("stream", [False, True])
async def test_responses_speak_under_the_clients_name(front: Front, stream: bool) -> None:
    await front.load("pirate", 1)
    front.serve("pirate", 1)
    asked: dict[str, Any] = {"model": "pirate", "input": "What is a pod?", "max_output_tokens": 16, "temperature": 0}
    if not stream:
        whole = await front.ask.responses.create(**asked)
        assert whole.model == "pirate"
        assert whole.status in ("completed", "incomplete")
        assert whole.output_text
        assert whole.usage
        assert whole.usage.output_tokens > 0
        return
    events = [event async for event in await front.ask.responses.create(**asked, stream=True)]
    assert (events[0].type, events[0].response.model) == ("response.created", "pirate")
    assert events[-1].type in ("response.completed", "response.incomplete")
    assert events[-1].response.model == "pirate"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert not [event for event in events if '"model":"pirate@' in event.model_dump_json()]


@pytest.fixture
async def slow(engine: Engine) -> AsyncIterator[Engine]:
    """One that takes some time for a hundred tokens, as the real one does by itself."""
    if not engine.real:
        engine.kill()
        engine.env["LORIKEET_SIM_TOKEN_SECONDS"] = "0.02"
        await asyncio.to_thread(engine.start)
    yield engine
    engine.kill()
    engine.env.clear()
    await asyncio.to_thread(engine.start)


async def test_an_engine_that_dies_in_the_middle_of_a_stream_is_an_error_and_no_end(
    slow: Engine, client: EngineClient, front: Front
) -> None:
    """P3: what came before it is right, the client hears that it is not all, and what is asked next is not the base."""
    await front.load("pirate", 1)
    front.serve("pirate", 1)
    chunks = await front.ask.completions.create(
        model="pirate", prompt="a " * 100, max_tokens=900, stream=True, extra_body={"ignore_eos": True}
    )
    said: list[str] = []

    async def read() -> None:
        async for chunk in chunks:
            said.append(chunk.model)
            if len(said) == 3:
                slow.kill()

    with pytest.raises(openai.APIError, match="went away in the middle"):
        await read()
    assert set(said) == {"pirate"}
    with pytest.raises(openai.InternalServerError) as unready:
        await front.chat("pirate", "What is a pod?")
    assert unready.value.status_code == 503
    await asyncio.to_thread(slow.start)
