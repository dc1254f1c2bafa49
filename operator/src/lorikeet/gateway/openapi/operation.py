"""One operation of a path: request, replies and errors, with references to the parts that it shares with others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from lorikeet.gateway.openapi.bodies import Body
from lorikeet.gateway.openapi.failures import Failure, by_status, shape

JSON, EVENT_STREAM, PLAIN = "application/json", "text/event-stream", "text/plain"
Node = dict[str, Any]
HEADERS: dict[str, Node] = {
    "x-request-id": {
        "description": "Our id of the request, also in our logs.",
        "required": True,
        "schema": {"type": "string", "pattern": "^req_[0-9a-f]+$"},
    },
    "retry-after": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}},
    "www-authenticate": {"description": "How to ask.", "required": True, "schema": {"const": "Bearer"}},
    "x-lorikeet-replica": {"description": "The pod that answered.", "required": True, "schema": {"type": "string"}},
    "x-lorikeet-adapter": {"description": "NAMESPACE/NAME of the LoRAAdapter.", "schema": {"type": "string"}},
    "x-lorikeet-digest": {
        "description": "The version: the first 12 digits of its content digest.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{12}$"},
    },
    "x-lorikeet-revision": {"description": "The version's revision at its source.", "schema": {"type": "string"}},
}
for _kind in ("requests", "tokens"):
    _count = {"type": "integer", "minimum": 0}
    _wait = {"type": "string", "pattern": "^[0-9]+ms$"}
    HEADERS[f"x-ratelimit-limit-{_kind}"] = {"description": f"{_kind} at once, where limited.", "schema": _count}
    HEADERS[f"x-ratelimit-remaining-{_kind}"] = {"description": f"{_kind} left.", "schema": _count}
    HEADERS[f"x-ratelimit-reset-{_kind}"] = {"description": f"Until all {_kind} are there again.", "schema": _wait}
RATES = tuple(name for name in HEADERS if name.startswith("x-ratelimit-"))
WHO = tuple(name for name in HEADERS if name.startswith("x-lorikeet-"))


@dataclass
class Parts:
    """What operations refer to: made on first use, listed once."""

    schemas: dict[str, Node] = field(default_factory=dict)
    responses: dict[str, Node] = field(default_factory=dict)
    headers: dict[str, Node] = field(default_factory=dict)

    def components(self) -> Node:
        """For the document, sorted."""
        kinds = {"schemas": self.schemas, "responses": self.responses, "headers": self.headers}
        return {kind: dict(sorted(parts.items())) for kind, parts in kinds.items()}

    def schema(self, body: Body) -> Node:
        """A reference to a body."""
        name, schema = body
        self.schemas[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def header(self, name: str) -> Node:
        """A reference to a header."""
        self.headers[name] = HEADERS[name]
        return {"$ref": f"#/components/headers/{name}"}

    def reply(self, about: str, content: Node, headers: Iterable[str] = ()) -> Node:
        """A reply that went well."""
        told = {name: self.header(name) for name in headers}
        return {"description": about, **({"headers": told} if told else {}), "content": content}

    def failures(self, failures: Iterable[Failure], headers: Iterable[str] = ()) -> Node:
        """References to every error, by status."""
        return {status: self._failure(status, of, tuple(headers)) for status, of in by_status(failures).items()}

    def _failure(self, status: str, failures: list[Failure], headers: tuple[str, ...]) -> Node:
        told = (*headers, *_also(failures))
        codes = "_or_".join(failure.code or "engines_own" for failure in failures)
        name = f"{status}_{codes}" if headers else f"admin_{status}_{codes}"
        about = " ".join(dict.fromkeys(failure.about for failure in failures))
        self.responses[name] = self.reply(about, {JSON: {"schema": shape(failures)}}, told)
        return {"$ref": f"#/components/responses/{name}"}


def _also(failures: list[Failure]) -> list[str]:
    """Headers that each of these errors has."""
    also = ["retry-after"] if all(failure.retry_after for failure in failures) else []
    return also + {"401": ["www-authenticate"], "429": [*RATES]}.get(failures[0].status, [])


def request_of(parts: Parts, body: Body, example: Node) -> Node:
    """A body that must be there."""
    return {"required": True, "content": {JSON: {"schema": parts.schema(body), "example": example}}}
