"""The OpenAPI document says what the code does: its routes, its fields, its errors."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from jsonschema_rs import Draft202012Validator, meta

from lorikeet.api import generated
from lorikeet.gateway import body, generate, routes
from lorikeet.gateway.gateway import serve_admin
from lorikeet.gateway.openapi.__main__ import files
from lorikeet.gateway.openapi.document import document
from lorikeet.testing.apiserver.process import free_ports

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "operator/src/lorikeet/gateway"
DOCUMENT = document()
METHODS = ("get", "post", "put", "delete", "head", "options", "patch", "trace")


def operations(tag: str) -> dict[tuple[str, str], dict[str, Any]]:
    """By method and path."""
    return {
        (method, path): item[method]
        for path, item in DOCUMENT["paths"].items()
        for method in METHODS
        if method in item and tag in item[method]["tags"]
    }


def test_the_generated_file_is_that_of_the_code() -> None:
    assert generated.main(files, "", "", ["--check", "--root", str(REPOSITORY)]) == 0


@pytest.mark.parametrize("method", METHODS)
def test_each_route_of_the_public_port_is_in_it_and_no_other(method: str) -> None:
    written = (node.value for node in ast.walk(ast.parse(inspect.getsource(routes))) if isinstance(node, ast.Constant))
    there = {text.decode() for text in written if isinstance(text, bytes) and text[:1] == b"/" and len(text) > 1}
    targets = {path: path.replace("{name}", "sql") for path in {*there, f"{routes.MODELS.decode()}/{{name}}"}}
    known = {path for path, target in targets.items() if routes.find(method.upper().encode(), target.encode())}
    assert {path for way, path in operations("clients") if way == method} == known


async def test_each_route_of_the_admin_port_is_in_it_and_no_other(stack: Any) -> None:
    admin = await serve_admin(stack.gateway, [], "127.0.0.1", free_ports(1)[0])
    known = {(route.method.lower(), route.resource.canonical) for route in admin.app.router.routes()}
    await admin.cleanup()
    assert set(operations("scripts")) == {(method, path) for method, path in known if method != "head"}


def test_fields_that_are_refused_and_read_are_those_of_the_code() -> None:
    chat = DOCUMENT["components"]["schemas"]["ChatRequest"]
    assert chat["propertyNames"]["not"]["enum"] == sorted(body.REFUSED)
    assert set(DOCUMENT["components"]["schemas"]["GenerateRequest"]["properties"]) == generate.FIELDS


def test_every_error_that_the_code_can_give_is_in_it() -> None:
    given = {code for path in SOURCES.rglob("*.py") for code in re.findall(r'code="([a-z_]+)"', path.read_text())}
    given |= set(re.findall(r'code = "([a-z_]+)" if .* else "([a-z_]+)"', (SOURCES / "wire/request.py").read_text())[0])
    assert len(given) > 10
    said = {node["const"] for node in nodes(DOCUMENT) if isinstance(node.get("const"), str)}
    assert given - {"stream_interrupted"} <= said
    assert "stream_interrupted" in str(DOCUMENT["paths"]["/v1/completions"])


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object inside."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(inner)


def test_its_schemas_are_schemas_and_its_examples_fit_them() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        assert meta.is_valid(schema)
    for operation in (*operations("clients").values(), *operations("scripts").values()):
        for media in operation.get("requestBody", {}).get("content", {}).values():
            assert Draft202012Validator({**media["schema"], **DOCUMENT}).is_valid(media["example"])


async def test_it_is_served_on_the_admin_port_alone_and_to_everybody(stack: Any) -> None:
    stack.gateway.keys._anybody = None
    (port,) = free_ports(1)
    admin = await serve_admin(stack.gateway, [], "127.0.0.1", port)
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/openapi.json") as reply:
        assert (reply.status, reply.content_type, await reply.json()) == (200, "application/json", DOCUMENT)
    await admin.cleanup()
    assert (await stack.client.get("/openapi.json")).status == 401
