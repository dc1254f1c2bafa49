"""The body of an inference request: which model it asks, and the same bytes asking another one.

Parsed once to know it; the model's name is then exchanged in the bytes as they came, because writing a long prompt anew
costs ten times as much and may change numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from lorikeet.gateway.openai import ApiError

REFUSED = frozenset(
    {
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "kv_transfer_params",
        "logits_processors",
        "lora_request",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "prompt_embeds",
        "request_id",
        "vllm_xargs",
    }
)
"""Fields of vLLM that run templates or code, read tensors, or reach into another tenant's cache or another request."""
NAME_LIMIT = 256
"""Longest `model` worth looking up."""
TOKEN_LIMIT = 50_000
"""Strings and brackets looked at to tell a second `model` from one that lies deeper, on the event loop (some 30 ms)."""

_KEY = b'"model"'
_ESCAPED_LETTER = b"\\u006"  # m, o, d, e, l are 6d 6f 64 65 6c: an escaped spelling of the key has this somewhere
_VALUE = re.compile(rb'[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+")', re.DOTALL)
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*+")([ \t\r\n]*+:)?|([{\[])|[}\]]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked body and where its model's name stands, quotes included: `body[start:end]`."""

    model: str
    body: bytes
    start: int
    end: int

    @property
    def written(self) -> bytes:
        """The model's name as the client spelled it: a JSON string with its quotes."""
        return self.body[self.start : self.end]

    def of(self, model: bytes) -> bytes:
        """The same body asking `model`, a JSON string with its quotes."""
        view = memoryview(self.body)
        return b"".join((view[: self.start], model, view[self.end :]))


def parse(body: bytes) -> Asked:
    """Check a body. Raises ApiError (400) for one that no engine should see."""
    fields = _object(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise _bad("`model` must be the name of a model", "model")
    if len(model) > NAME_LIMIT:
        raise _bad(f"`model` has more than {NAME_LIMIT} characters", "model")
    for field in REFUSED.intersection(fields):
        raise _bad(f"the field `{field}` is not accepted here", field)
    _check_media(fields.get("messages"))
    start, end = _model_span(body)
    return Asked(model, body, start, end)


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise _bad(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise _bad("the body is not a JSON object")
    return fields


def _check_media(messages: object) -> None:
    """Media come inside the request: an engine that fetches a client's URL is a door into the cluster."""
    for part in _parts(messages):
        for field, value in part.items():
            url = value.get("url") if isinstance(value, dict) else value
            if field.endswith("_embeds") or (field.endswith("_url") and not _is_data(url)):
                raise _bad(f"`{field}` in a message must be a data: URL", "messages")


def _parts(messages: object) -> Iterator[dict[str, Any]]:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield part


def _is_data(url: object) -> bool:
    return isinstance(url, str) and url.startswith("data:")


def _model_span(body: bytes) -> tuple[int, int]:
    """Where the top `model`'s value stands. `body` is a valid object that has one. Raises ApiError on a second one."""
    plain = body.count(_KEY) == 1 and _ESCAPED_LETTER not in body
    key_end = body.find(_KEY) + len(_KEY) if plain else _scan(body)
    value = _VALUE.match(body, key_end)
    if value is None:  # the one spelling that was found is no key, or its value no string: the parser saw another
        raise _bad("`model` must be written once, as a plain string", "model")
    return value.span(1)


def _scan(body: bytes) -> int:
    """Where the one key `model` of the outermost object ends, by its depth in brackets."""
    depth, found = 0, -1
    for count, token in enumerate(_TOKEN.finditer(body)):
        if count > TOKEN_LIMIT:
            raise _bad("the body has too many parts to find its `model`", "model")
        string, colon, opening = token.groups()
        if string is None:
            depth += 1 if opening else -1
        elif colon and depth == 1 and orjson.loads(string) == "model":
            if found >= 0:
                raise _bad("`model` is given twice", "model")
            found = token.end(1)
    return found


def _bad(message: str, param: str | None = None) -> ApiError:
    return ApiError(400, message, code="invalid_request", param=param)
