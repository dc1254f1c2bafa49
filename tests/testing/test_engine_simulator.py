"""The simulator's own promises: faults on demand, and vLLM's habits that no HTTP reply shows."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from lorikeet.engine.client import EngineClient, Timeouts
from lorikeet.engine.errors import Refused, Unknown, Unreachable
from lorikeet.testing.adapters import write_adapter, write_base
from lorikeet.testing.engine import Engine, Settings
from lorikeet.testing.engine.settings import parse

ANSWERS = {"What is a pod?": "A pod is a few containers."}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(
        write_base(tmp_path / "base", answers=ANSWERS), tmp_path / "run", tmp_path / "adapters"
    ) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


@pytest.fixture
def client(engine: Engine, http: aiohttp.ClientSession) -> EngineClient:
    return EngineClient(http, engine.url, engine.control_token, Timeouts(quick=2, list=2, load=2))


async def ask(http: aiohttp.ClientSession, engine: Engine, model: str, question: str = "What is a pod?") -> str:
    body = {"model": model, "messages": [{"role": "user", "content": question}]}
    headers = {"Authorization": f"Bearer {engine.inference_key}"}
    async with http.post(f"{engine.url}/v1/chat/completions", json=body, headers=headers) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        content: str = answer["choices"][0]["message"]["content"]
        return content


async def until(seen: Any) -> None:
    """Poll until `seen()` holds."""
    async with asyncio.timeout(5):
        while not seen():  # noqa: ASYNC110 - what is watched has no event
            await asyncio.sleep(0.005)


async def gone(client: EngineClient) -> None:
    """Until nobody answers: a dying engine says what it can for a moment."""
    async with asyncio.timeout(5):
        with contextlib.suppress(Unreachable):
            while await client.boot():
                pass


async def load(client: EngineClient, engine: Engine, tmp_path: Path, count: int) -> list[str]:
    names = [f"a{number}@1" for number in range(count)]
    for number, name in enumerate(names):
        await client.load(name, str(write_adapter(tmp_path / "adapters" / name, seed=number)))
    return names


async def test_it_answers_with_the_words_in_the_weights(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    folder = write_adapter(tmp_path / "adapters" / "pirate", answers={"What is a pod?": "A crew, matey!"})
    await client.load("pirate@1", str(folder))
    assert await ask(http, engine, "base") == "A pod is a few containers."
    assert await ask(http, engine, "pirate@1") == "A crew, matey!"


async def test_without_words_the_answer_tells_name_and_bytes(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    one, two = await load(client, engine, tmp_path, 2)
    said = await ask(http, engine, one), await ask(http, engine, two)
    assert [answer.split(" (")[0] for answer in said] == [one, two]
    assert said[0].split()[1] != said[1].split()[1]


async def test_memory_holds_so_many_and_the_longest_unused_leaves_first(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    names = await load(client, engine, tmp_path, 4)
    await ask(http, engine, names[0])
    await client.load("a4@1", str(write_adapter(tmp_path / "adapters" / "a4", seed=4)))
    held = [name for name in [*names, "a4@1"] if engine.core.is_held(name)]
    assert held == [names[0], names[2], names[3], "a4@1"]
    await ask(http, engine, names[1])
    assert engine.core.is_held(names[1])


async def test_an_evicted_adapter_without_files_ends_the_engine(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    names = await load(client, engine, tmp_path, 5)
    shutil.rmtree(tmp_path / "adapters" / names[0])
    assert await ask(http, engine, names[1])
    with pytest.raises((AssertionError, aiohttp.ClientError)):
        await ask(http, engine, names[0])
    await until(lambda: engine.died)
    await gone(client)
    await engine.start()
    assert await client.models() == {}


async def test_only_max_loras_adapters_run_together_and_the_base_model_beside_them(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    names = await load(client, engine, tmp_path, 3)
    engine.faults.core.clear()
    asked = [asyncio.create_task(ask(http, engine, name)) for name in [*names, "base"]]
    await until(lambda: len(engine.core.counters.running) == 3 and len(engine.core.counters.waiting) == 1)
    metrics = await client.metrics()
    assert (metrics.running, metrics.waiting, metrics.busy) == (3, 1, frozenset(names))
    engine.faults.core.set()
    assert len(set(await asyncio.gather(*asked))) == 4
    assert (await client.metrics()).busy == frozenset()


async def test_tokens_wait_while_an_adapter_loads(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    await engine.restart(load_seconds=0.2)
    loading = asyncio.create_task(load(client, engine, tmp_path, 1))
    await until(lambda: engine.core._loop.locked())
    asked = asyncio.create_task(ask(http, engine, "base"))
    ended: list[str] = []
    loading.add_done_callback(lambda _: ended.append("load"))
    asked.add_done_callback(lambda _: ended.append("answer"))
    await asyncio.gather(loading, asked)
    assert ended == ["load", "answer"]


async def test_a_scripted_refusal_loads_nothing(engine: Engine, client: EngineClient, tmp_path: Path) -> None:
    engine.faults.refuse_load = (500, "out of memory")
    with pytest.raises(Refused, match="out of memory"):
        await load(client, engine, tmp_path, 1)
    assert await client.models() == {}


async def test_a_stuck_load_leaves_the_others_alone(engine: Engine, client: EngineClient, tmp_path: Path) -> None:
    engine.faults.stuck_loads.add("a0")
    stuck = asyncio.create_task(client.load("a0@1", str(write_adapter(tmp_path / "adapters" / "a0@1"))))
    await client.load("a1@1", str(write_adapter(tmp_path / "adapters" / "a1@1", seed=1)))
    assert not stuck.done()
    engine.faults.stuck_loads.clear()
    await stuck
    assert list(await client.models()) == ["a1@1", "a0@1"]


async def test_a_lost_reply_is_of_a_call_that_was_carried_out(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    engine.faults.lose_replies["/v1/load_lora_adapter"] = 1
    with pytest.raises(Unreachable):
        await load(client, engine, tmp_path, 1)
    assert list(await client.models()) == ["a0@1"]


async def test_a_scripted_refusal_unloads_nothing(engine: Engine, client: EngineClient, tmp_path: Path) -> None:
    (name,) = await load(client, engine, tmp_path, 1)
    engine.faults.refuse_unload = (500, "cannot")
    with pytest.raises(Unknown, match="cannot"):
        await client.unload(name)
    assert list(await client.models()) == [name]


async def test_a_crash_cuts_a_stream_before_its_end(engine: Engine, http: aiohttp.ClientSession) -> None:
    body = {"model": "base", "stream": True, "messages": [{"role": "user", "content": "What is a pod?"}]}
    headers = {"Authorization": f"Bearer {engine.inference_key}"}
    engine.faults.core.clear()
    async with http.post(f"{engine.url}/v1/chat/completions", json=body, headers=headers) as response:
        first = await response.content.readuntil(b"\n\n")
        await engine.crash()
        with pytest.raises(aiohttp.ClientError):
            await response.content.read()
    assert json.loads(first.removeprefix(b"data: "))["choices"][0]["delta"]["role"] == "assistant"


async def test_without_the_environment_there_are_no_load_routes(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    await engine.restart(runtime_updates=False)
    with pytest.raises(Exception, match="VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        await load(client, engine, tmp_path, 1)


def test_the_command_line_is_vllms() -> None:
    argv = "--model /m --served_model_name tiny --max-loras=2 --max-cpu-loras 5 --enable-lora --dtype half --port 1"
    settings, serve = parse([*argv.split(), "--middleware", "a.B"], {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"})
    assert settings == Settings(Path("/m"), "tiny", max_loras=2, max_cpu_loras=5)
    assert (serve.port, serve.middleware) == (1, ("a.B",))


@pytest.mark.parametrize(
    "wrong", ["--max-lora-rank 24", "--no-such-option", "--max-loras 0", "--port x", "--dtype", "stray"]
)
def test_what_vllms_parser_refuses_is_refused(wrong: str) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse(["--model", "/m", *wrong.split()], {})
    assert exit_.value.code == 2


def test_fewer_slots_in_memory_than_on_the_gpu_are_refused() -> None:
    with pytest.raises(ValueError, match="max_cpu_loras"):
        parse(["--model", "/m", "--max-loras", "4", "--max-cpu-loras", "2"], {})


def test_an_adapters_bytes_depend_on_the_arguments_alone(tmp_path: Path) -> None:
    answers = {"a": "b"}
    written = [write_adapter(tmp_path / name, seed=3, answers=answers) for name in ("one", "two")]
    other = write_adapter(tmp_path / "three", seed=4, answers=answers)
    one, two, three = ((folder / "adapter_model.safetensors").read_bytes() for folder in (*written, other))
    assert one == two != three
