"""OpenAI's shapes: errors and the list of models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import orjson

INVALID = "invalid_request_error"
UNAVAILABLE = "service_unavailable_error"
KINDS = {401: "authentication_error", 429: "rate_limit_error"}
OWNER = "lorikeet"


class ApiError(Exception):
    """An answer that is an error, in the shape the official clients read."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str,
        param: str | None = None,
        retry_after: int | None = None,
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param, self.retry_after = status, code, param, retry_after
        self._headers = tuple(headers)

    def body(self) -> bytes:
        """The JSON body."""
        kind = KINDS.get(self.status) or (UNAVAILABLE if self.status >= 500 else INVALID)
        error = {"message": str(self), "type": kind, "param": self.param, "code": self.code}
        return orjson.dumps({"error": error})

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers beyond those of every reply."""
        wait = [] if self.retry_after is None else [(b"retry-after", b"%d" % self.retry_after)]
        return [*wait, *self._headers]

    def event(self) -> bytes:
        """The same as the last event of a stream that ends too early."""
        return b"data: " + self.body() + b"\n\n"


def no_route() -> ApiError:
    """For everything that is not one of the listed routes."""
    return ApiError(404, "no such route; this gateway serves the OpenAI API under /v1", code="not_found")


def unknown_model(name: str, close: Iterable[str], param: str = "model") -> ApiError:
    """For a model that no served object is called."""
    hint = ", ".join(f"`{match}`" for match in close)
    message = f"the model `{name[:128]}` does not exist" + (f"; close matches: {hint}" if hint else "")
    return ApiError(404, message, code="model_not_found", param=param)


def not_ready(name: str, why: str, retry_after: int) -> ApiError:
    """For a model that exists and that no replica can answer now."""
    return ApiError(503, f"the model `{name}` {why}; try again", code="model_not_ready", retry_after=retry_after)


def engine_failed(status: int) -> ApiError:
    """For an engine that could not: what it says of its inside is nobody's business. Not an error's status is 502."""
    status = status if 500 <= status < 600 else 502
    return ApiError(status, "the engine failed on this request; ask again", code="engine_error")


def interrupted() -> ApiError:
    """For a reply whose engine went away in the middle."""
    return ApiError(502, "the engine went away in the middle of this reply; ask again", code="stream_interrupted")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """One row of /v1/models. `root` is the name that always means this object; an adapter's `parent` is its base."""

    id: str
    created: int
    root: str
    parent: str | None = None

    def dump(self) -> dict[str, object]:
        """The row as vLLM writes it."""
        return {
            "id": self.id,
            "object": "model",
            "created": self.created,
            "owned_by": OWNER,
            "root": self.root,
            "parent": self.parent,
        }


def model_list(cards: Iterable[ModelCard]) -> bytes:
    """The body of GET /v1/models."""
    return orjson.dumps({"object": "list", "data": [card.dump() for card in cards]})
