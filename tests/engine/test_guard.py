"""The guard: what passes, and that nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lorikeet.engine import guard
from lorikeet.engine.guard import (
    CONTROL_BODY_LIMIT,
    ROUTES,
    Guard,
    Message,
    Receive,
    Scope,
    Send,
)

KEY, TOKEN = "the-inference-key", "the-control-token"
LOAD = {"lora_name": "sql@0123456789ab", "lora_path": "/adapters/store/0123"}

Ask = Callable[..., Awaitable["Answer"]]


class App:
    """Stands for vLLM: says 200 and remembers what reached it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            return
        self.asked.append((scope["method"], scope["path"]))
        self.headers = scope["headers"]
        self.bodies.append((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"through"})


class Answer:
    def __init__(self, messages: list[Message]) -> None:
        self.status: int = messages[0]["status"]
        self.headers = dict(messages[0]["headers"])
        self.body = b"".join(message.get("body", b"") for message in messages[1:])

    @property
    def error(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.body)["error"]
        return value


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inference-key").write_text(KEY + "\n")
    (tmp_path / "control-token").write_text(TOKEN)
    return tmp_path


@pytest.fixture
def ask(app: App, folder: Path) -> Ask:
    the_guard = Guard(app, folder, Path("/adapters"))

    async def asked(
        method: str,
        raw: str,
        *bearers: str,
        path: str | None = None,
        query: bytes = b"",
        body: object = None,
        data: bytes = b"",
    ) -> Answer:
        headers = [(b"authorization", f"Bearer {bearer}".encode()) for bearer in bearers]
        scope = {
            "type": "http",
            "method": method,
            "path": raw if path is None else path,
            "raw_path": raw.encode(),
            "query_string": query,
            "headers": [*headers, (b"content-length", b"999")],
        }
        messages: list[Message] = []

        async def receive() -> Message:
            return {
                "type": "http.request",
                "body": json.dumps(body).encode() if body is not None else data,
            }

        async def send(message: Message) -> None:
            messages.append(message)

        await the_guard(scope, receive, send)
        return Answer(messages)

    return asked


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"])
async def test_inference_passes_with_the_inference_key_alone(path: str, ask: Ask, app: App) -> None:
    assert (await ask("POST", path, KEY)).status == 200
    for bearers in ([], [TOKEN], [KEY + "x"], [""], [KEY, KEY]):
        assert (await ask("POST", path, *bearers)).status == 401
    assert app.asked == [("POST", path)]


async def test_models_passes_with_the_control_token_alone(ask: Ask, app: App) -> None:
    assert (await ask("GET", "/v1/models", TOKEN)).status == 200
    for bearers in ([], [KEY], [TOKEN, KEY], [TOKEN.upper()]):
        assert (await ask("GET", "/v1/models", *bearers)).status == 401
    assert app.asked == [("GET", "/v1/models")]


@pytest.mark.parametrize("path", ["/v1/load_lora_adapter", "/v1/unload_lora_adapter"])
async def test_loading_needs_the_control_token(path: str, ask: Ask, app: App) -> None:
    body = LOAD if "unload" not in path else {"lora_name": "sql"}
    assert (await ask("POST", path, KEY, body=body)).status == 401
    assert (await ask("POST", path, body=body)).status == 401
    assert app.asked == []
    assert (await ask("POST", path, TOKEN, body=body)).status == 200


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_probes_and_metrics_need_no_token(path: str, ask: Ask) -> None:
    assert (await ask("GET", path)).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/adapters", "/adapters/x", "/invocations", "/tokenize", "/detokenize", "/version", "/load", "/openapi.json",
        "/docs", "/ping", "/pause", "/resume", "/scale_elastic_ep", "/init_weight_transfer_engine", "/update_weights",
        "/pooling", "/score", "/rerank", "/v1/responses/", "/v1/responses/resp_1", "/sleep",
        "/v1/responses/resp_1/cancel",
        "/v1/messages", "/v1/audio/transcriptions",
        "/collective_rpc", "/reset_prefix_cache", "/server_info", "/start_profile", "/", "", "*",
        "//v1/models", "/v1//models", "/v1/models/", "/v1/models/x", "/V1/models", "/v1/Models", "/v1/%6dodels",
        "/v1%2fmodels", "/v1/../v1/models", "/./v1/models", "/v1/models;x", "/v1/models%00", "/v1/models%20",
        "/v1/models#", "http://engine/v1/models", "/health/../adapters", "/health/", "/-/boot/", "/-/other",
    ],
)  # fmt: skip
async def test_no_other_path_passes_with_either_token(path: str, ask: Ask, app: App) -> None:
    for method in ("GET", "POST", "DELETE"):
        for bearer in (KEY, TOKEN):
            answer = await ask(method, path, bearer)
            assert answer.status == 404
            assert answer.error == {
                "message": "Not Found",
                "type": "NotFoundError",
                "param": None,
                "code": 404,
            }
    assert app.asked == []


async def test_a_decoded_path_that_differs_from_the_raw_one_is_refused(ask: Ask, app: App) -> None:
    assert (await ask("GET", "/health", path="/adapters")).status == 404
    assert app.asked == []


@pytest.mark.parametrize("path", [path.decode() for path in ROUTES])
async def test_a_query_is_refused_everywhere(path: str, ask: Ask, app: App) -> None:
    assert (await ask(ROUTES[path.encode()][0], path, TOKEN, query=b"a=b")).status == 404
    assert app.asked == []


@pytest.mark.parametrize("path", [path.decode() for path in ROUTES])
async def test_another_method_is_405_and_names_the_right_one(path: str, ask: Ask, app: App) -> None:
    right = ROUTES[path.encode()][0]
    for method in {
        "GET",
        "POST",
        "PUT",
        "DELETE",
        "PATCH",
        "HEAD",
        "OPTIONS",
        "TRACE",
        "get",
    } - {right}:
        answer = await ask(method, path, TOKEN)
        assert (answer.status, answer.headers[b"allow"]) == (405, right.encode())
    assert app.asked == []


async def test_the_authorization_scheme_is_bearer_exactly(app: App, folder: Path) -> None:
    for value in (
        KEY,
        f"bearer {KEY}",
        f"Basic {KEY}",
        f"Bearer  {KEY}",
        f"Bearer {KEY} ",
    ):
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message, sent: list[Message] = sent) -> None:
            sent.append(message)

        path = "/v1/completions"
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
        }
        await Guard(app, folder)({**scope, "headers": [(b"Authorization", value.encode())]}, receive, send)
        assert sent[0]["status"] == 401


async def test_the_boot_is_told_by_the_guard_itself(ask: Ask, app: App) -> None:
    answer = await ask("GET", "/-/boot", TOKEN)
    told = json.loads(answer.body)
    assert len(told["boot"]) == 32
    assert told["startedAt"] > 0
    assert answer.headers[b"x-lorikeet-boot"].decode() == told["boot"]
    assert (await ask("GET", "/-/boot", KEY)).status == 401
    assert app.asked == []


async def test_every_answer_carries_the_same_boot_refusals_too(ask: Ask) -> None:
    answers = [
        await ask("GET", "/health"),
        await ask("GET", "/adapters"),
        await ask("POST", "/v1/completions"),
    ]
    assert len({answer.headers[b"x-lorikeet-boot"] for answer in answers}) == 1


async def test_two_lives_have_two_boots(app: App, folder: Path) -> None:
    assert Guard(app, folder)._boot != Guard(app, folder)._boot


@pytest.mark.parametrize(
    "body",
    [
        {**LOAD, "load_inplace": True},
        {**LOAD, "load_inplace": "true"},
        {**LOAD, "load_inplace": False},
        {**LOAD, "is_3d_lora_weight": True},
        {"lora_name": "sql"},
        {"lora_path": "/adapters/store/0"},
        {**LOAD, "lora_name": ""},
        {**LOAD, "lora_name": None},
        {**LOAD, "lora_path": ["/adapters/x"]},
        {**LOAD, "lora_path": "acme/sql-expert"},
        {**LOAD, "lora_path": "adapters/store/0"},
        {**LOAD, "lora_path": "/adapters"},
        {**LOAD, "lora_path": "/adapters/"},
        {**LOAD, "lora_path": "/adapters/../etc"},
        {**LOAD, "lora_path": "/adapters/store/../../etc"},
        {**LOAD, "lora_path": "/adapters//store"},
        {**LOAD, "lora_path": "/adapters-of-others/x"},
        {**LOAD, "lora_path": "//adapters/store/0"},
        {**LOAD, "lora_path": "/adapters/store/\0"},
        {**LOAD, "lora_path": "~/x"},
        [],
        "text",
        None,
    ],
)
async def test_a_load_names_one_staged_folder_and_nothing_more(body: object, ask: Ask, app: App) -> None:
    assert (await ask("POST", "/v1/load_lora_adapter", TOKEN, body=body)).status == 400
    assert app.asked == []


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 10_000, b'{"lora_name": "a"'])
async def test_a_control_body_that_is_no_json_is_400(data: bytes, ask: Ask, app: App) -> None:
    assert (await ask("POST", "/v1/load_lora_adapter", TOKEN, data=data)).status == 400
    assert app.asked == []


async def test_a_control_body_above_the_limit_is_413(ask: Ask, app: App) -> None:
    assert (await ask("POST", "/v1/load_lora_adapter", TOKEN, data=b" " * (CONTROL_BODY_LIMIT + 1))).status == 413
    assert app.asked == []


async def test_vllm_gets_the_body_as_we_read_it(ask: Ask, app: App) -> None:
    """A field written twice means one thing to us and to vLLM."""
    twice = b'{"lora_path": "/etc", "lora_name": "sql", "lora_path": "/adapters/store/0"}'
    assert (await ask("POST", "/v1/load_lora_adapter", TOKEN, data=twice)).status == 200
    [body] = app.bodies
    assert json.loads(body) == {"lora_name": "sql", "lora_path": "/adapters/store/0"}
    assert body.count(b"lora_path") == 1
    assert [value for name, value in app.headers if name == b"content-length"] == [str(len(body)).encode()]


async def test_an_inference_body_is_not_touched(ask: Ask, app: App) -> None:
    await ask("POST", "/v1/completions", KEY, data=b'{"model" :"x"}')
    assert app.bodies == [b'{"model" :"x"}']
    assert (b"content-length", b"999") in app.headers


async def test_a_websocket_is_closed(app: App, folder: Path) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": "/v1/realtime",
        "raw_path": b"/v1/realtime",
        "headers": [],
    }
    await Guard(app, folder)(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]
    assert app.asked == []


async def test_a_changed_key_file_counts_at_once(ask: Ask, folder: Path) -> None:
    assert (await ask("POST", "/v1/completions", KEY)).status == 200
    fresh = folder / "fresh"
    fresh.write_text("another")
    fresh.replace(folder / "inference-key")
    assert (await ask("POST", "/v1/completions", KEY)).status == 401
    assert (await ask("POST", "/v1/completions", "another")).status == 200


@pytest.mark.parametrize("name", ["inference-key", "control-token"])
@pytest.mark.parametrize("content", [None, "", " \n"])
async def test_it_does_not_start_without_its_keys(name: str, content: str | None, app: App, folder: Path) -> None:
    (folder / name).unlink() if content is None else (folder / name).write_text(content)
    [message] = await start(Guard(app, folder))
    assert message["type"] == "lifespan.startup.failed"
    assert name in message["message"]


async def test_it_starts_with_its_keys(app: App, folder: Path) -> None:
    assert await start(Guard(app, folder)) == [{"type": "lifespan.startup.complete"}]


async def test_a_key_that_is_gone_later_refuses_everybody(ask: Ask, app: App, folder: Path) -> None:
    (folder / "inference-key").write_text("")
    for bearers in ([KEY], [""], []):
        assert (await ask("POST", "/v1/completions", *bearers)).status == 503
    assert app.asked == []


async def test_the_environment_names_the_folders(app: App, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORIKEET_GUARD_DIR", str(folder))
    assert await start(Guard(app)) == [{"type": "lifespan.startup.complete"}]


def test_the_module_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """The agent copies the source into a pod that has no lorikeet."""
    source = Path(guard.__file__).read_text()
    assert "lorikeet." not in "".join(line for line in source.splitlines() if "import" in line)
    copy = tmp_path / "lorikeet_guard.py"
    copy.write_text(source)
    command = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); import lorikeet_guard",
    ]
    subprocess.run([*command, str(tmp_path)], check=True, timeout=10)


async def start(the_guard: Guard) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    await the_guard({"type": "lifespan"}, receive, send)
    return sent
