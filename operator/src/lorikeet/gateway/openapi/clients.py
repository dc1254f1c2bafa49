"""The public port: each route of `routes`, and no other."""

from __future__ import annotations

from dataclasses import dataclass

from lorikeet.gateway import routes
from lorikeet.gateway.openapi import bodies
from lorikeet.gateway.openapi.bodies import Body
from lorikeet.gateway.openapi.failures import BYTES, ENGINE, INSIDE, KEY, NO_MODEL, NO_ROUTE, NOT_READY, Failure
from lorikeet.gateway.openapi.operation import EVENT_STREAM, JSON, RATES, WHO, Node, Parts, request_of

TAG = {"name": "clients", "description": "Port 8080."}
SERVER = {"url": "http://localhost:8080", "description": "`kubectl port-forward service/lorikeet-gateway 8080:80`"}
ALWAYS = ("x-request-id",)


@dataclass(frozen=True)
class Asking:
    """A route that asks an engine."""

    about: str
    body: Body
    example: Node


INFERENCE = {
    b"/v1/chat/completions": Asking(
        "Answer a conversation.",
        bodies.CHAT,
        {"model": "sql-expert", "messages": [{"role": "user", "content": "Which customers paid twice?"}]},
    ),
    b"/v1/completions": Asking(
        "Continue a text.", bodies.COMPLETION, {"model": "sql-expert", "prompt": "SELECT", "max_tokens": 16}
    ),
    b"/v1/embeddings": Asking("Embed texts.", bodies.EMBEDDING, {"model": "qwen2.5-1.5b", "input": "a text"}),
    b"/v1/responses": Asking("Respond.", bodies.RESPONSE, {"model": "sql-expert", "input": "Which customers?"}),
}
GENERATE = Asking("", bodies.GENERATE, {"adapter": "sql-expert", "prompt": "SELECT", "max_tokens": 16})


def paths(parts: Parts) -> Node:
    """By path."""
    found: Node = {}
    for path in sorted(routes.INFERENCE):
        found[path.decode()] = {"post": _inference(parts, INFERENCE[path])}
    for path, stream in routes.GENERATE.items():
        found[path.decode()] = {"post": _generate(parts, stream)}
    found[routes.MODELS.decode()] = {"get": _models(parts)}
    found[f"{routes.MODELS.decode()}/{{name}}"] = {"get": _model(parts), "parameters": [NAME]}
    for path, ready in routes.OPEN.items():
        found[path.decode()] = {"get": _probe(parts, ready)}
    return found


def _inference(parts: Parts, asking: Asking) -> Node:
    content = {JSON: {"schema": parts.schema(bodies.ANSWER)}, EVENT_STREAM: {"schema": bodies.EVENTS}}
    return _asking(parts, asking, parts.reply("The engine's answer.", content, (*ALWAYS, *WHO, *RATES)))


def _generate(parts: Parts, stream: bool) -> Node:
    if stream:
        about, content = "Continue a text piece by piece, for scripts.", {EVENT_STREAM: {"schema": bodies.EVENTS}}
    else:
        about, content = "Continue a text, for scripts.", {JSON: {"schema": parts.schema(bodies.TEXT)}}
    asking = Asking(about, GENERATE.body, GENERATE.example)
    return _asking(parts, asking, parts.reply("What was written.", content, (*ALWAYS, *WHO, *RATES)))


def _asking(parts: Parts, asking: Asking, good: Node) -> Node:
    request = request_of(parts, asking.body, asking.example)
    return _operation(parts, asking.about, good, (*KEY, *ENGINE, *INSIDE)) | {"requestBody": request}


def _models(parts: Parts) -> Node:
    good = parts.reply("The names that this key can ask now.", {JSON: {"schema": parts.schema(bodies.MODELS)}}, ALWAYS)
    return _operation(parts, "List the models.", good, (*KEY, *INSIDE))


NAME = {
    "name": "name",
    "in": "path",
    "required": True,
    "description": "As in `model`. The slash of a name is written as it is, or as %2F.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 192},
    "example": "sql-expert",
}


def _model(parts: Parts) -> Node:
    good = parts.reply("The model of this name.", {JSON: {"schema": parts.schema(bodies.MODEL)}}, ALWAYS)
    return _operation(parts, "Find a model.", good, (*KEY, NO_MODEL, NO_ROUTE, *INSIDE))


def _probe(parts: Parts, ready: bool) -> Node:
    good = parts.reply("Yes.", {JSON: {"schema": parts.schema(bodies.ALIVE)}}, ALWAYS)
    about = "Whether this process takes requests." if ready else "Whether this process runs."
    return _operation(parts, about, good, NOT_READY if ready else ()) | {"security": []}


def _operation(parts: Parts, about: str, good: Node, failures: tuple[Failure, ...]) -> Node:
    errors = parts.failures((*BYTES, *failures), ALWAYS)
    return {"summary": about, "tags": [TAG["name"]], "responses": {"200": good, **errors}}
