"""Every answer that is an error, by status and code, in the one shape that they all have."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lorikeet.gateway.openai import INVALID, KINDS, UNAVAILABLE

Schema = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """One way to fail. `status`: a number, or a range like 5XX. `code`: empty for words of the engine's own."""

    status: str
    code: str
    about: str
    retry_after: bool = False


BYTES = (
    Failure("400", "bad_request", "The bytes are no HTTP/1.1 request, or could be read in two ways."),
    Failure("408", "timeout", "The request did not arrive in time."),
    Failure("413", "bad_request", "The body is too large."),
    Failure("415", "bad_request", "The body is compressed."),
    Failure("417", "bad_request", "An expectation other than 100-continue."),
    Failure("431", "bad_request", "Request line and headers are too long, or too many."),
    Failure("503", "overloaded", "No room in this process.", retry_after=True),
    Failure("505", "bad_request", "Not HTTP/1.1."),
)
"""Of any request on the public port. After each of these the connection ends."""
INSIDE = (Failure("500", "internal_error", "The gateway failed."),)
KEY = (Failure("401", "invalid_api_key", "No key, or one that opens nothing."),)
NO_ROUTE = Failure("404", "not_found", "No such route: not here, or not at the engine.")
NO_MODEL = Failure("404", "model_not_found", "Nobody's name, or not for this key. The message has close matches.")
BODY = Failure("400", "invalid_request", "The body cannot be meant. `param` names the field.")
ENGINE = (
    *(BODY, NO_MODEL, NO_ROUTE),
    Failure("400", "", "The engine's own error, with the client's name of the model."),
    Failure("4XX", "", "The engine's own error, with the client's name of the model."),
    Failure("429", "rate_limit_exceeded", "A quota, a full line, or no place in time.", retry_after=True),
    Failure("503", "model_not_ready", "The model is known, and no replica can answer now.", retry_after=True),
    Failure("500", "engine_error", "The engine failed, and so did another replica."),
    Failure("5XX", "engine_error", "The same, with the engine's status."),
)
NOT_READY = (Failure("503", "not_ready", "This gateway has no table yet, or is going."),)
ADMIN = (*KEY, Failure("403", "forbidden", "The key is not for administrators."))
NAMES = (
    Failure("400", "invalid_request", "The body does not name adapters."),
    Failure("404", "model_not_found", "Nobody's name."),
)
NO_SECRETS = (Failure("503", "unavailable", "The API server did not show the Secrets of keys.", retry_after=True),)


def by_status(failures: Iterable[Failure]) -> dict[str, list[Failure]]:
    """The ways to fail with each status, in its order."""
    found: defaultdict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        found[failure.status].append(failure)
    return dict(sorted(found.items()))


def shape(failures: Iterable[Failure]) -> Schema:
    """The body of an error: one of these."""
    schemas = [_ours(failure) if failure.code else ENGINES for failure in failures]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _ours(failure: Failure) -> Schema:
    number = failure.status.replace("X", "0")
    kind = KINDS.get(int(number)) or (UNAVAILABLE if number >= "500" else INVALID)
    fields: dict[str, Schema] = {
        "message": {"type": "string"},
        "type": {"const": kind},
        "param": {"type": ["string", "null"]},
        "code": {"const": failure.code},
    }
    return _error({"required": [*fields], "properties": fields, "additionalProperties": False})


def _error(inner: Schema) -> Schema:
    return {"type": "object", "required": ["error"], "properties": {"error": {"type": "object", **inner}}}


ENGINES = _error({"required": ["message"], "properties": {"message": {"type": "string"}, "code": {"type": "integer"}}})
"""vLLM's errors have their status as `code`."""
