"""The client of one engine, against the simulator: replies become values or errors that say what to do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from lorikeet.engine.client import EngineClient, Reply, Timeouts, load_error
from lorikeet.engine.errors import Refused, Unknown, Unreachable, Why
from lorikeet.testing.adapters import BROKEN, write_adapter, write_base
from lorikeet.testing.engine import Engine


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(write_base(tmp_path / "base"), tmp_path / "run", tmp_path / "adapters") as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def client(engine: Engine, http: aiohttp.ClientSession) -> EngineClient:
    return EngineClient(http, engine.url, engine.control_token, Timeouts(quick=2, list=2, load=2))


@pytest.fixture
def adapter(tmp_path: Path) -> str:
    return str(write_adapter(tmp_path / "adapters" / "one"))


async def test_a_loaded_adapter_is_listed_with_its_folder(client: EngineClient, adapter: str) -> None:
    assert await client.models() == {}
    await client.load("sql@1", adapter)
    assert await client.models() == {"sql@1": adapter}


async def test_loading_what_is_there_already_is_success(client: EngineClient, adapter: str) -> None:
    await client.load("sql@1", adapter)
    await client.load("sql@1", adapter)


async def test_a_name_that_stands_for_other_bytes_is_refused(
    client: EngineClient, adapter: str, tmp_path: Path
) -> None:
    await client.load("sql@1", adapter)
    with pytest.raises(Refused, match="already been loaded") as refused:
        await client.load("sql@1", str(write_adapter(tmp_path / "adapters" / "two", seed=2)))
    assert refused.value.reason == Why.NAME_TAKEN


async def test_the_base_models_name_is_refused(client: EngineClient, adapter: str) -> None:
    with pytest.raises(Refused) as refused:
        await client.load("base", adapter)
    assert refused.value.reason == Why.NAME_TAKEN


async def test_missing_files_are_said_so(client: EngineClient, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        await client.load("sql@1", str(tmp_path / "adapters" / "nothing"))
    assert refused.value.reason == Why.FILES_MISSING


async def test_an_adapter_the_engine_cannot_use_is_refused_with_its_reason(
    client: EngineClient, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="LoRA rank 64 is greater than max_lora_rank 16") as refused:
        await client.load("sql@1", str(BROKEN["rank-too-high"](tmp_path / "adapters" / "wide")))
    assert refused.value.reason == Why.NOT_LOADABLE


async def test_a_path_outside_the_adapters_is_refused_by_the_guard(client: EngineClient, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        await client.load("sql@1", str(write_adapter(tmp_path / "elsewhere")))
    assert refused.value.reason == Why.INVALID


async def test_a_reply_we_do_not_know_is_settled_by_what_is_listed(
    client: EngineClient, engine: Engine, adapter: str
) -> None:
    engine.faults.garble_load = "ok, whatever"
    await client.load("sql@1", adapter)
    engine.faults.lose_adapters = {"sql@2"}
    with pytest.raises(Unknown, match="ok, whatever"):
        await client.load("sql@2", adapter)


async def test_unloading_makes_it_gone_and_twice_is_success(client: EngineClient, adapter: str) -> None:
    await client.load("sql@1", adapter)
    await client.unload("sql@1")
    assert await client.models() == {}
    await client.unload("sql@1")


async def test_a_wrong_token_is_refused_as_such(engine: Engine, http: aiohttp.ClientSession, adapter: str) -> None:
    stranger = EngineClient(http, engine.url, "wrong")
    with pytest.raises(Refused) as listed:
        await stranger.models()
    with pytest.raises(Refused) as loaded:
        await stranger.load("sql@1", adapter)
    assert listed.value.reason == loaded.value.reason == Why.UNAUTHORIZED


async def test_the_boot_changes_when_the_engine_restarts_and_adapters_are_gone(
    client: EngineClient, engine: Engine, adapter: str
) -> None:
    before = await client.boot()
    assert await client.boot() == before
    await client.load("sql@1", adapter)
    await engine.restart()
    assert (await client.boot()).id != before.id
    assert await client.models() == {}


async def test_the_boot_tells_who_waits_for_the_engine(
    client: EngineClient, engine: Engine, http: aiohttp.ClientSession
) -> None:
    assert ((await client.boot()).in_flight, (await client.boot()).quiet_for) == (0, 0.0)
    engine.faults.core.clear()
    headers = {"Authorization": f"Bearer {engine.inference_key}"}
    body = {"model": "base", "prompt": "one two", "max_tokens": 3}
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(http.post(f"{engine.url}/v1/completions", json=body, headers=headers))
        while (boot := await client.boot()).quiet_for == 0:
            pass
        assert boot.in_flight == 1
        engine.faults.core.set()


async def test_health_is_what_the_engine_says(client: EngineClient, engine: Engine) -> None:
    assert await client.health()
    engine.faults.unhealthy = True
    assert not await client.health()


async def test_metrics_count_what_happened(client: EngineClient, engine: Engine, http: aiohttp.ClientSession) -> None:
    before = await client.metrics()
    headers = {"Authorization": f"Bearer {engine.inference_key}"}
    body = {"model": "base", "prompt": "one two", "max_tokens": 3}
    async with http.post(f"{engine.url}/v1/completions", json=body, headers=headers) as response:
        assert response.status == 200
    after = await client.metrics()
    assert (after.work or 0) - (before.work or 0) == 3 + 3 + 2 + 3 + 2  # steps, tokens in them, generated, asked
    assert (after.running, after.waiting, after.busy) == (0, 0, frozenset())


async def test_an_engine_that_hangs_is_unreachable(engine: Engine, http: aiohttp.ClientSession, adapter: str) -> None:
    impatient = EngineClient(http, engine.url, engine.control_token, Timeouts(quick=0.1, list=0.1, load=0.1))
    engine.faults.core.clear()
    with pytest.raises(Unreachable, match=r"no answer in 0\.1 s"):
        await impatient.load("sql@1", adapter)
    assert await impatient.health(), "health answers while the engine's loop hangs, as vLLM's does"
    engine.faults.server.clear()
    with pytest.raises(Unreachable):
        await impatient.health()


async def test_an_engine_that_is_not_there_is_unreachable(
    http: aiohttp.ClientSession,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    nobody = EngineClient(http, f"http://127.0.0.1:{port}", "token")
    for call in (
        nobody.boot(),
        nobody.models(),
        nobody.load("a", "/adapters/a"),
        nobody.unload("a"),
        nobody.metrics(),
    ):
        with pytest.raises(Unreachable):
            await call


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (
            Reply(404, '{"error": {"message": "no adapter", "type": "NotFoundError"}}'),
            Why.FILES_MISSING,
        ),
        (
            Reply(404, '{"message": "no adapter", "type": "NotFoundError", "code": 404}'),
            Why.FILES_MISSING,
        ),
        (
            Reply(400, '{"error": {"message": "taken", "type": "InvalidUserInput"}}'),
            Why.NAME_TAKEN,
        ),
        (
            Reply(500, '{"error": {"message": "bad", "type": "InternalServerError"}}'),
            Why.NOT_LOADABLE,
        ),
        (Reply(401, "{}"), Why.UNAUTHORIZED),
        (
            Reply(422, '{"error": {"message": "x", "type": "BadRequestError"}}'),
            Why.INVALID,
        ),
        (
            Reply(404, '{"error": {"message": "Not Found", "type": "NotFoundError"}}'),
            Unknown,
        ),
        (Reply(500, "Internal Server Error"), Unknown),
        (Reply(302, ""), Unknown),
        (Reply(503, ""), Unreachable),
    ],
)
def test_each_reply_to_a_load_has_one_meaning(reply: Reply, expected: Why | type[Exception]) -> None:
    error = load_error(reply)
    assert (error.reason if isinstance(error, Refused) else type(error)) == expected
