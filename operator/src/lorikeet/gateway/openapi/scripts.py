"""The admin port: what scripts may tell a gateway, and what probes and Prometheus read."""

from __future__ import annotations

from lorikeet.gateway.openapi import bodies
from lorikeet.gateway.openapi.failures import ADMIN, NAMES, NO_SECRETS
from lorikeet.gateway.openapi.operation import JSON, PLAIN, Node, Parts, request_of

TAG = {"name": "scripts", "description": "Port 8081, not in the Service. /admin wants a key with `admin`."}
SERVERS = [
    {"url": "http://localhost:8081", "description": "`kubectl port-forward deployment/lorikeet-gateway 8081:8081`"}
]
LINES: Node = {PLAIN: {"schema": {"type": "string"}}}
NOT_THERE: Node = {"description": "A worker of this gateway is not there, or takes no requests.", "content": LINES}
PATH = "/openapi.json"


def paths(parts: Parts) -> Node:
    """By path."""
    found = {
        "/admin/reload-keys": {"post": _reload(parts)},
        "/admin/prefetch": {"post": _prefetch(parts)},
        "/admin/warm": {"post": _warm(parts)},
        "/healthz": {"get": _open("Whether this process runs.", "Yes.", LINES)},
        "/readyz": {"get": _open("Whether it takes requests.", "Yes.", LINES)},
        "/metrics": {"get": _open("What Prometheus scrapes.", "The series of docs/gateway.md.", LINES)},
        PATH: {"get": _open("This document.", "OpenAPI 3.1.", {JSON: {"schema": {"type": "object"}}})},
    }
    return {path: {"servers": SERVERS, **item} for path, item in found.items()}


def _reload(parts: Parts) -> Node:
    good = parts.reply("How many keys there are.", {JSON: {"schema": parts.schema(bodies.KEYS)}})
    errors = parts.failures((*ADMIN, *NO_SECRETS))
    return _locked("Look at the Secrets of keys now.", {"200": good, **errors})


def _prefetch(parts: Parts) -> Node:
    good = parts.reply("Begun.", {JSON: {"schema": parts.schema(bodies.BEGUN)}})
    errors = parts.failures((*ADMIN, *NAMES))
    return _locked("Begin to make adapters resident.", {"202": good, **errors}) | _names(parts)


def _warm(parts: Parts) -> Node:
    done = {JSON: {"schema": parts.schema(bodies.WARMED)}}
    told = {
        "200": parts.reply("Each is resident.", done),
        "503": parts.reply("One or more are not.", {**done, **LINES}),
    }
    errors = parts.failures((*ADMIN, *NAMES))
    return _locked("Make adapters resident, and say what came of it.", {**told, **errors}) | _names(parts)


def _names(parts: Parts) -> Node:
    return {"requestBody": request_of(parts, bodies.ADAPTERS, {"adapters": ["sql-expert"]})}


def _locked(about: str, responses: Node) -> Node:
    responses = {"413": {"description": "The body is too large.", "content": LINES}, "503": NOT_THERE, **responses}
    return {"summary": about, "tags": [TAG["name"]], "responses": dict(sorted(responses.items()))}


def _open(about: str, good: str, content: Node) -> Node:
    responses = {"200": {"description": good, "content": content}, "503": NOT_THERE}
    return {"summary": about, "tags": [TAG["name"]], "security": [], "responses": responses}
