"""What we believe about vLLM, held against the simulator on every run and against the real vLLM with `-m vllm`."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from lorikeet.engine.client import EngineClient
from lorikeet.engine.errors import Refused, Unreachable, Why
from lorikeet.engine.guard import ROUTES
from lorikeet.engine.metrics import WORK
from lorikeet.testing.adapters import BROKEN, write_adapter

pytestmark = pytest.mark.timeout(600)


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    adapters: Path
    model: Path
    real: bool
    inference_key: str
    control_token: str
    port: int

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def exited(self, seconds: float) -> bool: ...


Folder = Callable[..., str]


@pytest.fixture
def folder(engine: Engine, request: pytest.FixtureRequest) -> Folder:
    """Writes an adapter where the engine may read it, a new folder for each test and seed."""

    def written(seed: int = 0, rank: int = 8) -> str:
        return str(write_adapter(engine.adapters / f"{request.node.originalname}-{seed}", seed=seed, rank=rank))

    return written


async def call(
    http: aiohttp.ClientSession, engine: Engine, method: str, path: str, token: str | None, body: Any = None
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.request(method, engine.url + path, json=body, headers=headers) as response:
        return response.status, await response.text()


async def ask(http: aiohttp.ClientSession, engine: Engine, model: str, tokens: int = 12) -> str:
    body = {"model": model, "messages": [user("What is a pod?")], "temperature": 0, "max_tokens": tokens}
    status, text = await call(http, engine, "POST", "/v1/chat/completions", engine.inference_key, body)
    assert status == 200, text
    content: str = json.loads(text)["choices"][0]["message"]["content"]
    return content


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def error_of(text: str) -> tuple[str, int]:
    error = json.loads(text)["error"]
    return error["type"], error["code"]


async def test_the_base_model_is_listed_with_its_folder_and_no_parent(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession
) -> None:
    status, text = await call(http, engine, "GET", "/v1/models", engine.control_token)
    [card] = json.loads(text)["data"]
    assert (status, card["id"], card["root"], card["parent"]) == (200, "base", str(engine.model), None)
    assert await client.models() == {}


async def test_a_load_says_success_and_the_list_has_name_folder_and_parent(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    body = {"lora_name": "sql@3f9c1a7d20b4", "lora_path": folder()}
    status, text = await call(http, engine, "POST", "/v1/load_lora_adapter", engine.control_token, body)
    assert (status, text) == (200, "Success: LoRA adapter 'sql@3f9c1a7d20b4' added successfully.")
    _, listed = await call(http, engine, "GET", "/v1/models", engine.control_token)
    card = json.loads(listed)["data"][1]
    assert (card["id"], card["root"], card["parent"]) == ("sql@3f9c1a7d20b4", folder(), "base")
    assert await client.models() == {"sql@3f9c1a7d20b4": folder()}


async def test_a_hub_like_name_is_a_good_engine_name(client: EngineClient, folder: Folder) -> None:
    await client.load("acme/sql@3f9c1a7d20b4", folder())
    assert "acme/sql@3f9c1a7d20b4" in await client.models()


async def test_loading_a_name_twice_is_400_invalid_user_input(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    await client.load("a@1", folder())
    body = {"lora_name": "a@1", "lora_path": folder(2)}
    status, text = await call(http, engine, "POST", "/v1/load_lora_adapter", engine.control_token, body)
    assert (status, error_of(text)) == (400, ("InvalidUserInput", 400))
    await client.load("a@1", folder())
    with pytest.raises(Refused) as refused:
        await client.load("a@1", folder(2))
    assert refused.value.reason == Why.NAME_TAKEN


async def test_the_base_models_name_is_taken(client: EngineClient, folder: Folder) -> None:
    with pytest.raises(Refused) as refused:
        await client.load("base", folder())
    assert refused.value.reason == Why.NAME_TAKEN


async def test_a_folder_without_adapter_is_404_not_found(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession
) -> None:
    path = str(engine.adapters / "nothing-here")
    body = {"lora_name": "a@1", "lora_path": path}
    status, text = await call(http, engine, "POST", "/v1/load_lora_adapter", engine.control_token, body)
    assert (status, error_of(text)) == (404, ("NotFoundError", 404))
    assert "Loading lora a@1 failed: No adapter found for" in text
    with pytest.raises(Refused) as refused:
        await client.load("a@1", path)
    assert refused.value.reason == Why.FILES_MISSING


@pytest.mark.parametrize(
    ("broken", "reason", "said"),
    [
        ("no-config", Why.FILES_MISSING, "No adapter found"),
        ("rank-too-high", Why.NOT_LOADABLE, "LoRA rank 64 is greater than max_lora_rank 16"),
        ("dora", Why.NOT_LOADABLE, "DoRA"),
        ("with-saved-modules", Why.NOT_LOADABLE, "modules_to_save"),
        ("unknown-modules", Why.NOT_LOADABLE, "Please verify that the loaded LoRA module is correct"),
        ("no-weights", Why.NOT_LOADABLE, "doesn't contain tensors"),
        ("cut-short", Why.NOT_LOADABLE, ""),
        ("config-is-no-json", Why.NOT_LOADABLE, ""),
    ],
)
async def test_what_the_engine_cannot_use_is_refused_and_the_engine_lives(
    broken: str, reason: Why, said: str, engine: Engine, client: EngineClient, http: aiohttp.ClientSession
) -> None:
    path = BROKEN[broken](engine.adapters / f"broken-{broken}")
    with pytest.raises(Refused) as refused:
        await client.load("broken@1", str(path))
    assert (refused.value.reason, said in refused.value.message) == (reason, True), refused.value
    assert await client.models() == {}
    assert await ask(http, engine, "base")


async def test_an_unload_is_200_and_of_an_unknown_name_404(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    await client.load("a@1", folder())
    body = {"lora_name": "a@1"}
    answers = [
        await call(http, engine, "POST", "/v1/unload_lora_adapter", engine.control_token, body) for _ in range(2)
    ]
    assert answers[0] == (200, "Success: LoRA adapter 'a@1' removed successfully.")
    assert (answers[1][0], error_of(answers[1][1])) == (404, ("NotFoundError", 404))
    await client.unload("a@1")


async def test_a_model_that_is_not_there_is_404(engine: Engine, http: aiohttp.ClientSession) -> None:
    for path, body in (
        ("/v1/chat/completions", {"messages": [user("hi")]}),
        ("/v1/completions", {"prompt": "hi"}),
    ):
        status, text = await call(http, engine, "POST", path, engine.inference_key, {"model": "none@1", **body})
        assert (status, error_of(text)) == (404, ("NotFoundError", 404))
        assert "The model `none@1` does not exist." in text


async def test_adapters_answer_each_in_their_own_way_and_always_the_same(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    names = ["one@1", "two@2"]
    for seed, name in enumerate(names):
        await client.load(name, folder(seed))
    answers = [await ask(http, engine, name) for name in ("base", *names)]
    assert len(set(answers)) == 3
    assert [await ask(http, engine, name) for name in ("base", *names)] == answers


async def test_the_same_bytes_answer_the_same_under_another_name_and_path(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    await client.load("a@1", folder())
    first = await ask(http, engine, "a@1")
    await client.unload("a@1")
    copy = engine.adapters / "same-bytes"
    shutil.copytree(folder(), copy)
    await client.load("a@1", str(copy))
    assert await ask(http, engine, "a@1") == first


async def test_a_whole_chat_answer_has_choice_finish_and_usage(engine: Engine, http: aiohttp.ClientSession) -> None:
    body = {"model": "base", "messages": [user("What is a pod?")], "temperature": 0, "max_tokens": 3}
    status, text = await call(http, engine, "POST", "/v1/chat/completions", engine.inference_key, body)
    answer = json.loads(text)
    assert (status, answer["object"], answer["model"]) == (200, "chat.completion", "base")
    [choice] = answer["choices"]
    assert (choice["index"], choice["finish_reason"], choice["message"]["role"]) == (0, "length", "assistant")
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + 3


async def test_a_whole_completion_has_text(engine: Engine, http: aiohttp.ClientSession) -> None:
    body = {"model": "base", "prompt": "user: What is a pod?\nassistant: ", "max_tokens": 3}
    status, text = await call(http, engine, "POST", "/v1/completions", engine.inference_key, body)
    answer = json.loads(text)
    assert (status, answer["object"], answer["choices"][0]["finish_reason"]) == (200, "text_completion", "length")
    assert answer["choices"][0]["text"]


@pytest.mark.parametrize("usage", [True, False])
async def test_a_stream_opens_with_the_role_ends_with_done_and_counts_when_asked(
    usage: bool, engine: Engine, http: aiohttp.ClientSession
) -> None:
    body = {"model": "base", "messages": [user("What is a pod?")], "temperature": 0, "max_tokens": 4, "stream": True}
    options = {"stream_options": {"include_usage": True}} if usage else {}
    status, text = await call(http, engine, "POST", "/v1/chat/completions", engine.inference_key, {**body, **options})
    events = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert (status, events[-1]) == (200, "[DONE]")
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    said = [chunk for chunk in chunks if chunk["choices"]]
    assert said[-1]["choices"][0]["finish_reason"] == "length"
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in said) == await ask(
        http, engine, "base", 4
    )
    counted = [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")]
    assert counted == ([4] if usage else [])
    assert (chunks[-1]["choices"] == []) is usage


@pytest.mark.parametrize(
    "body",
    [
        {"model": "base"},
        {"model": "base", "messages": "hi"},
        {"model": "base", "messages": [{"role": "user", "content": "hi"}], "max_tokens": -1},
        {"model": "base", "messages": [{"role": "user", "content": "hi " * 5000}]},
        [],
    ],
)
async def test_a_body_the_engine_does_not_take_is_400_with_an_error(
    body: object, engine: Engine, http: aiohttp.ClientSession
) -> None:
    status, text = await call(http, engine, "POST", "/v1/chat/completions", engine.inference_key, body)
    assert status == 400, text
    assert json.loads(text)["error"]["code"] == 400


async def test_metrics_move_with_work_and_name_the_busy_adapter(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    await client.load("a@1", folder())
    before = await client.metrics()
    await ask(http, engine, "a@1", 8)
    after = await client.metrics()
    assert before.work is not None
    assert after.work is not None
    assert after.work > before.work
    _, text = await call(http, engine, "GET", "/metrics", None)
    for name in (
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:lora_requests_info", "vllm:kv_cache_usage_perc",
        "vllm:generation_tokens_total", "vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total",
        *WORK,
    ):  # fmt: skip
        assert f"\n{name}{{" in text, name


async def test_a_busy_adapter_is_busy_until_its_request_ends(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    await client.load("a@1", folder())
    asked = [asyncio.create_task(ask_long(http, engine, "a@1")) for _ in range(12)]
    seen: set[str] = set()
    while not all(task.done() for task in asked):
        seen |= (await client.metrics()).busy
    await asyncio.gather(*asked)
    assert seen <= {"a@1"}
    async with asyncio.timeout(10):
        while (await client.metrics()).busy:  # noqa: ASYNC110 - another process: nothing here can signal
            await asyncio.sleep(0.05)
    assert seen or not engine.real, "vLLM never named the adapter while it was busy"


async def ask_long(http: aiohttp.ClientSession, engine: Engine, model: str) -> None:
    body = {"model": model, "prompt": "one two", "max_tokens": 200, "ignore_eos": True}
    status, text = await call(http, engine, "POST", "/v1/completions", engine.inference_key, body)
    assert status == 200, text


async def test_more_adapters_than_memory_holds_all_answer_and_an_evicted_one_unloads(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    names = [f"many@{number}" for number in range(5)]  # max_cpu_loras is 3
    for number, name in enumerate(names):
        await client.load(name, folder(number))
    first = [await ask(http, engine, name) for name in names]
    assert len(set(first)) == 5
    assert [await ask(http, engine, name) for name in reversed(names)] == list(reversed(first))
    assert list(await client.models()) == names
    for name in names:
        await client.unload(name)


OPEN_IN_VLLM = [
    ("POST", "/adapters"), ("DELETE", "/adapters/a@1"), ("POST", "/invocations"), ("POST", "/tokenize"),
    ("POST", "/detokenize"), ("GET", "/version"), ("GET", "/load"), ("GET", "/openapi.json"), ("GET", "/docs"),
    ("GET", "/ping"), ("POST", "/ping"), ("POST", "/pause"), ("POST", "/resume"), ("GET", "/is_paused"),
    ("POST", "/scale_elastic_ep"), ("POST", "/init_weight_transfer_engine"), ("POST", "/update_weights"),
    ("POST", "/pooling"), ("POST", "/score"), ("POST", "/classify"), ("POST", "/rerank"), ("POST", "/abort_requests"),
    ("GET", "/v1/responses/resp_1"), ("POST", "/v1/responses/resp_1/cancel"), ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/audio/transcriptions"), ("POST", "/inference/v1/generate"), ("POST", "/start_profile"),
    ("POST", "/v1/chat/completions/batch"), ("POST", "/v1/chat/completions/render"), ("POST", "/sleep"),
    ("GET", "/server_info"), ("POST", "/reset_prefix_cache"), ("POST", "/collective_rpc"),
]  # fmt: skip


async def test_every_other_route_is_closed_with_and_without_tokens(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    body = {"name": "a@1", "src": folder(), "model": "base", "prompt": "x", "messages": [user("x")]}
    for method, path in OPEN_IN_VLLM:
        for token in (None, engine.inference_key, engine.control_token):
            status, text = await call(http, engine, method, path, token, body)
            assert (status, error_of(text)) == (404, ("NotFoundError", 404)), (method, path)
    assert await client.models() == {}


async def test_each_token_opens_its_own_routes_only(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/v1/load_lora_adapter": {"lora_name": "a@1", "lora_path": folder()},
        "/v1/unload_lora_adapter": {"lora_name": "a@1"},
        "/v1/chat/completions": {"model": "base", "messages": [user("x")], "max_tokens": 1},
        "/v1/completions": {"model": "base", "prompt": "x", "max_tokens": 1},
        "/v1/responses": {"model": "base", "input": "x", "max_output_tokens": 1},
    }
    tokens = {"inference-key": engine.inference_key, "control-token": engine.control_token}
    for raw, (method, wanted) in ROUTES.items():
        path = raw.decode()
        for token in (None, "wrong", *tokens.values()):
            status, _ = await call(http, engine, method, path, token, bodies.get(path))
            if wanted and token != tokens[wanted]:
                assert status == 401, (path, token)
            elif path != "/v1/embeddings":  # open by its key, but no route of a model that generates
                assert status == 200, (path, token)


async def test_a_load_may_not_leave_the_adapters_folder_or_stay_in_place(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder, tmp_path: Path
) -> None:
    outside = str(write_adapter(tmp_path / "outside"))
    for body in (
        {"lora_name": "a@1", "lora_path": outside},
        {"lora_name": "a@1", "lora_path": f"{engine.adapters}/../{Path(folder()).name}"},
        {"lora_name": "a@1", "lora_path": folder(), "load_inplace": True},
    ):
        status, _ = await call(http, engine, "POST", "/v1/load_lora_adapter", engine.control_token, body)
        assert status == 400
    assert await client.models() == {}


async def test_a_lost_folder_kills_the_engine_and_the_next_life_has_another_boot_and_no_adapters(
    engine: Engine, client: EngineClient, http: aiohttp.ClientSession, folder: Folder
) -> None:
    """Last, as it ends the engine that the tests above share."""
    boot = await client.boot()
    names = [f"lost@{number}" for number in range(5)]
    for number, name in enumerate(names):
        await client.load(name, folder(number))
    shutil.rmtree(folder(0))
    with pytest.raises((AssertionError, aiohttp.ClientError)):
        await ask(http, engine, names[0])
    assert engine.exited(60), "an engine without an evicted adapter's files dies"
    with pytest.raises(Unreachable):
        await client.boot()
    engine.stop()
    engine.start()
    async with aiohttp.ClientSession() as fresh:
        reborn = EngineClient(fresh, engine.url, engine.control_token)
        assert (await reborn.boot()).id != boot.id
        assert await reborn.models() == {}
