"""The body of an inference request: which model it asks, and the same bytes asking another one.

Parsed once to know it; the model's name is then exchanged in the bytes as they came, because writing a long prompt anew
costs ten times as much and may change numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from lorikeet.gateway.openai import ApiError

REFUSED = frozenset(
    {
        "background",
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "conversation",
        "kv_transfer_params",
        "logits_processors",
        "lora_request",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "previous_input_messages",
        "previous_response_id",
        "prompt_embeds",
        "request_id",
        "vllm_xargs",
    }
)
"""Fields that run templates or code, read tensors, or reach into another tenant's cache, request or stored answers."""
MEDIA = ("_url", "_embeds")
"""Ends of the names of fields that bring more than text."""
NAME_LIMIT = 256
"""Longest `model` worth looking up."""
TOKEN_LIMIT = 50_000
"""Strings and brackets looked at to tell a second `model` from one that lies deeper, on the event loop (some 30 ms)."""

LONG = 4096
"""Bytes of a body whose prompt is worth sending where its beginning was read before."""
BEGINNING = 2048
"""Characters of a prompt that tell it from others."""

WHOLE_BATCH = 256
"""More answers than these to one request are as many: no replica works at more at once."""

QUOTES = 64
"""Few."""

_KEY = b'"model"'
_ESCAPED_LETTER = b"\\u006"  # m, o, d, e, l are 6d 6f 64 65 6c: an escaped spelling of the key has this somewhere
_VALUE = re.compile(rb'[ \t\r\n]*+:[ \t\r\n]*+("(?:[^"\\]|\\.)*+")', re.DOTALL)
_TOKEN = re.compile(rb'("(?:[^"\\]|\\.)*+")([ \t\r\n]*+:)?|([{\[])|[}\]]', re.DOTALL)


@dataclass(slots=True)  # frozen ones cost a microsecond for each request
class Asked:
    """A checked body and where its model's name stands, quotes included: `body[start:end]`."""

    model: str
    body: bytes
    start: int
    end: int
    lora: str | None = None
    """`lora_name`, which some clients send beside the base model's name."""
    prefix: int = 0
    """A long prompt's beginning, hashed; 0: too short to matter."""
    sequences: int = 1
    """Answers that the engine works at beside each other for this one request."""

    @property
    def written(self) -> bytes:
        """The model's name as the client spelled it: a JSON string with its quotes."""
        return self.body[self.start : self.end]

    def of(self, model: bytes, salt: str = "") -> bytes:
        """The same body asking `model`, a JSON string with its quotes; `salt` keeps its prefix from other tenants."""
        view = memoryview(self.body)
        if not salt:
            return b"".join((view[: self.start], model, view[self.end :]))
        first = self.body.index(b"{") + 1
        said = b'"cache_salt":"%b",' % salt.encode()
        return b"".join((view[:first], said, view[first : self.start], model, view[self.end :]))


def parse(body: bytes) -> Asked:
    """Check a body. Raises ApiError (400) for one that no engine should see."""
    fields = fields_of(body)
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise bad("`model` must be the name of a model", "model")
    if len(model) > NAME_LIMIT:
        raise bad(f"`model` has more than {NAME_LIMIT} characters", "model")
    for field, value in fields.items():
        if (rule := RULES.get(field)) is not None:
            rule(field, value)
    start, end = _model_span(body)
    prefix = _prefix(fields) if len(body) >= LONG else 0
    return Asked(model, body, start, end, fields.get("lora_name"), prefix, _sequences(fields))


def fields_of(body: bytes) -> dict[str, Any]:
    """The fields of a body. Raises ApiError (400) for one that is no JSON object."""
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise bad("the body is not a JSON object")
    return fields


def _refuse(field: str, _: object) -> None:
    raise bad(f"the field `{field}` is not accepted here", field)


def _check_lora(field: str, name: object) -> None:
    if name is not None and (not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT):
        raise bad(f"`{field}` must be a name of 1 to {NAME_LIMIT} characters", field)


def _check_media(where: str, messages: object) -> None:
    """Media come inside the request: an engine that fetches a client's URL is a door into the cluster."""
    for part in _parts(messages):
        for field, value in part.items():
            if field.endswith(MEDIA):
                url = value.get("url") if isinstance(value, dict) else value
                if field.endswith("_embeds") or not _is_data(url):
                    raise bad(f"`{field}` in `{where}` must be a data: URL", where)


def _parts(messages: object) -> Iterator[dict[str, Any]]:
    """Each message and each part of its content, as chat and as responses nest them."""
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict):
            yield message
            for nest in (message.get("content"), message.get("output")):
                if isinstance(nest, dict):
                    yield nest
                elif isinstance(nest, list):
                    yield from (part for part in nest if isinstance(part, dict))


def _check_tools(field: str, tools: object) -> None:
    """Functions are the client's to call; any other kind would have the engine call somebody."""
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and tool.get("type", "function") not in ("function", "custom"):
            raise bad(f"`{field}` may hold functions only: the engine calls nobody", field)


RULES: dict[str, Callable[[str, object], None]] = {
    **dict.fromkeys(REFUSED, _refuse),
    "input": _check_media,
    "lora_name": _check_lora,
    "messages": _check_media,
    "tools": _check_tools,
}
"""Who looks at a field of a body; raises ApiError. The others are the engine's business."""


def _prefix(fields: dict[str, Any]) -> int:
    """What the engine reads first, in so far as it is text; the rest of a body may differ from request to request."""
    prompt = fields.get("prompt") or fields.get("input")
    texts = [prompt] if isinstance(prompt, str) else []
    size = 0
    for part in _parts(fields.get("messages")):
        if isinstance(text := part.get("content") or part.get("text"), str) and size < BEGINNING:
            texts.append(text)
            size += len(text)
    return hash("\0".join(text[:BEGINNING] for text in texts)[:BEGINNING]) if texts else 0


def _sequences(fields: dict[str, Any]) -> int:
    """`n` for each prompt. A list of numbers is one, in tokens; what is no number of answers the engine refuses."""
    n, prompts = fields.get("n"), fields.get("prompt") or fields.get("input")
    each = n if type(n) is int and n > 0 else 1
    if isinstance(prompts, list) and prompts and isinstance(prompts[0], str | list):
        each *= len(prompts)
    return min(each, WHOLE_BATCH)


def _is_data(url: object) -> bool:
    return isinstance(url, str) and url.startswith("data:")


def _model_span(body: bytes) -> tuple[int, int]:
    """Where the top `model`'s value stands. `body` is a valid object that has one. Raises ApiError on a second one."""
    place = body.find(_KEY)
    plain = place >= 0 and _last(body, place) and not (b"\\" in body and body.rfind(_ESCAPED_LETTER) >= 0)
    key_end = place + len(_KEY) if plain else _scan(body)
    value = _VALUE.match(body, key_end)
    if value is None:  # the one spelling that was found is no key, or its value no string: the parser saw another
        raise bad("`model` must be written once, as a plain string", "model")
    return value.span(1)


def _last(body: bytes, place: int) -> bool:
    """Whether the key's plain spelling at `place` is the last one.

    From quote to quote, where they are few: in a long text that is ten times as fast as to look for the word. And that
    is three times as fast from the end, for these words.
    """
    at = place + len(_KEY)
    for _ in range(QUOTES if len(body) >= LONG else 0):
        at = body.find(b'"', at)
        if at < 0:
            return True
        if body.startswith(_KEY, at):
            return False
        at += 1
    return place == body.rfind(_KEY)


def _scan(body: bytes) -> int:
    """Where the one key `model` of the outermost object ends, by its depth in brackets."""
    depth, found = 0, -1
    for count, token in enumerate(_TOKEN.finditer(body)):
        if count > TOKEN_LIMIT:
            raise bad("the body has too many parts to find its `model`", "model")
        string, colon, opening = token.groups()
        if string is None:
            depth += 1 if opening else -1
        elif colon and depth == 1 and orjson.loads(string) == "model":
            if found >= 0:
                raise bad("`model` is given twice", "model")
            found = token.end(1)
    return found


def bad(message: str, param: str | None = None) -> ApiError:
    """The error for a body that cannot be meant."""
    return ApiError(400, message, code="invalid_request", param=param)
