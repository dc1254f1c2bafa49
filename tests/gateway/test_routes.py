"""Only listed routes exist."""

from __future__ import annotations

import pytest

from lorikeet.gateway.routes import Generate, Inference, ListModels, OneModel, Probe, Route, find


@pytest.mark.parametrize(
    ("method", "target", "route"),
    [
        (b"POST", b"/v1/chat/completions", Inference(b"/v1/chat/completions")),
        (b"POST", b"/v1/completions", Inference(b"/v1/completions")),
        (b"POST", b"/v1/embeddings", Inference(b"/v1/embeddings")),
        (b"POST", b"/v1/responses", Inference(b"/v1/responses")),
        (b"POST", b"/v1/generate", Generate(stream=False)),
        (b"POST", b"/v1/generate/stream", Generate(stream=True)),
        (b"GET", b"/health", Probe(ready=False)),
        (b"GET", b"/ready", Probe(ready=True)),
        (b"GET", b"/v1/models", ListModels()),
        (b"GET", b"/v1/models/acme/sql", OneModel("acme/sql")),
        (b"GET", b"/v1/models/acme%2Fsql", OneModel("acme/sql")),
        (b"GET", b"/v1/models/ns%3Asql", OneModel("ns:sql")),
    ],
)
def test_the_routes_there_are(method: bytes, target: bytes, route: Route) -> None:
    assert find(method, target) == route


@pytest.mark.parametrize(
    "target",
    [
        *(b"/adapters", b"/invocations", b"/tokenize", b"/metrics", b"/healthz", b"/pause", b"/v1/load_lora_adapter"),
        *(b"/v1/unload_lora_adapter", b"/openapi.json", b"/version", b"/v1/responses/x", b"/-/boot", b"/", b"*", b""),
        *(b"//v1/completions", b"/v1//completions", b"/v1/completions/", b"/v1/Completions", b"/v1/completions?x=1"),
        *(b"/v1/../pause", b"/v1/completions/..", b"/v1/completions;x", b"/%761/completions", b"/v1/completions%00"),
        *(b"http://gw/v1/completions", b"/v1/completions#x", b"/v1/modelsx", b"/v1/models/", b"/v1/models?x"),
        *(b"/v1/models/a?x", b"/v1/models/%ff", b"/v1/models/" + b"a" * 2000),
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_everything_else_does_not_exist(method: bytes, target: bytes) -> None:
    assert find(method, target) is None


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE", b"HEAD", b"OPTIONS", b"TRACE", b"PATCH"])
def test_another_method_is_another_route(method: bytes) -> None:
    assert find(method, b"/v1/completions") is None
    assert method == b"GET" or find(method, b"/v1/models") is None
