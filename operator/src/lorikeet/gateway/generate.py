"""/v1/generate, for scripts: `{"prompt", "max_tokens", "adapter"}` in, `{"text", …}` out; a completion underneath."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from lorikeet.gateway.body import NAME_LIMIT, Asked, bad, fields_of
from lorikeet.gateway.relay import Garbled, Translation
from lorikeet.gateway.renamed import Renaming

PATH = b"/v1/completions"
FIELDS = frozenset({"prompt", "max_tokens", "adapter", "model", "temperature", "top_p", "seed", "stop"})
_END = b"\n\n"
_DATA = re.compile(rb"^data:[ ]?(.*)$", re.MULTILINE)
_EVENT_LIMIT = 1024 * 1024


def parse(body: bytes, stream: bool, base: str | None) -> Asked:
    """The completion that is asked. `base` answers where no adapter is named; None: it must be named.

    Raises ApiError (400).
    """
    fields = fields_of(body)
    for field in sorted(fields.keys() - FIELDS):
        raise bad(f"the field `{field}` is not one of {', '.join(sorted(FIELDS))}", field)
    if not isinstance(fields.get("prompt"), str):
        raise bad("`prompt` must be a text", "prompt")
    model = _model(fields, base)
    rest = {name: value for name, value in fields.items() if name not in ("adapter", "model") and value is not None}
    if stream:
        rest["stream"] = True
    name = orjson.dumps(model)
    start = b'{"model":'
    return Asked(model, start + name + b"," + orjson.dumps(rest)[1:], len(start), len(start) + len(name))


def _model(fields: dict[str, Any], base: str | None) -> str:
    adapter, model = fields.get("adapter"), fields.get("model")
    if adapter is not None and model is not None and adapter != model:
        raise bad("`adapter` and `model` name two things", "adapter")
    name = next((given for given in (adapter, model, base) if given is not None), None)
    if name is None:
        raise bad("`adapter` must say who answers: there is not just one base model here", "adapter")
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise bad(f"`adapter` must be a name of 1 to {NAME_LIMIT} characters", "adapter")
    return name


@dataclass(frozen=True, slots=True)
class Texts:
    """Completions in, texts out: whole, or event by event."""

    inner: Renaming
    stream: bool = False

    @property
    def longest(self) -> int:
        """Every answer becomes another one."""
        return 1

    whole = True
    """An answer that is not a stream must be there as a whole."""

    def of(self, data: bytes) -> bytes:
        """A whole answer, or whole events."""
        if not self.stream:
            return orjson.dumps(self._text(_object(data)))
        return b"".join(self._event(event) + _END for event in data.split(_END) if event.strip())

    def error(self, body: bytes) -> bytes:
        """An error is an error in both shapes."""
        return self.inner.error(body)

    def held(self, data: bytes) -> int:
        """All after the last whole event."""
        held = len(data) - (data.rfind(_END) + len(_END)) if _END in data else len(data)
        if held > _EVENT_LIMIT:
            raise Garbled("an event of the engine does not end")
        return held

    def _event(self, event: bytes) -> bytes:
        data = b"\n".join(_DATA.findall(event)).strip()
        if event[:1] == b":" and not data:  # a comment keeps the connection alive
            return b":"
        if data == b"[DONE]":
            return b"data: " + data
        said = _object(data)
        return b"data: " + (self.error(orjson.dumps(said)) if "error" in said else orjson.dumps(self._text(said)))

    def _text(self, said: dict[str, Any]) -> dict[str, Any]:
        choice = _choice(said, self.stream)
        told = {
            "text": choice.get("text", ""),
            "finish_reason": choice.get("finish_reason"),
            "usage": said.get("usage"),
        }
        model = {"model": orjson.loads(self.inner.client)}
        return {name: value for name, value in (model | told).items() if value is not None}


def _object(data: bytes) -> dict[str, Any]:
    """What the engine said. Raises Garbled."""
    try:
        said = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Garbled(f"the engine said no JSON: {error}") from error
    if not isinstance(said, dict):
        raise Garbled("the engine said no completion")
    return said


def _choice(said: dict[str, Any], stream: bool) -> dict[str, Any]:
    """Its one choice; the last event of a stream may have none. Raises Garbled."""
    match said.get("choices"):
        case [{"text": str()}, *_] as choices:
            choice: dict[str, Any] = choices[0]
            return choice
        case [] | None if stream:
            return {}
    raise Garbled("the engine said no completion")


def words(engine: bytes, client: bytes) -> Translation:
    """What a client reads in place of a completion."""
    return Texts(Renaming(engine, client))


def events(engine: bytes, client: bytes) -> Translation:
    """What a client reads in place of a completion that comes piece by piece."""
    return Texts(Renaming(engine, client), stream=True)
