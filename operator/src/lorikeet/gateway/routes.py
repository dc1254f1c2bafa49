"""The routes there are: exact methods on exact raw targets. Everything else does not exist.

Compared as raw bytes, so that `//v1`, `/%761`, `/v1/../x`, a query or a whole URL is simply another target, and no two
parsers can disagree about what was asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

CHAT = b"/v1/chat/completions"
INFERENCE = frozenset({CHAT, b"/v1/completions", b"/v1/embeddings", b"/v1/responses"})
GENERATE = {b"/v1/generate": False, b"/v1/generate/stream": True}
OPEN = {b"/health": False, b"/ready": True}
MODELS = b"/v1/models"
MODEL_ID_LIMIT = 1024  # bytes in the target; a name has at most 192 with its namespace, each perhaps percent-encoded


@dataclass(frozen=True, slots=True)
class Inference:
    """Ask an engine at `path`."""

    path: bytes


@dataclass(frozen=True, slots=True)
class ListModels:
    """The models there are."""


@dataclass(frozen=True, slots=True)
class OneModel:
    """The model called `name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Generate:
    """A text from a prompt, whole or as a stream."""

    stream: bool


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether this gateway runs, or also takes requests: open to everybody."""

    ready: bool


Route = Inference | Generate | ListModels | OneModel | Probe


def find(method: bytes, target: bytes) -> Route | None:
    """The route of a request line, or None."""
    if method == b"POST" and target in INFERENCE:
        return Inference(target)
    if method == b"POST" and target in GENERATE:
        return Generate(GENERATE[target])
    if method == b"GET" and target in OPEN:
        return Probe(OPEN[target])
    if method != b"GET" or not target.startswith(MODELS):
        return None
    if target == MODELS:
        return ListModels()
    return _one_model(target.removeprefix(MODELS))


def _one_model(rest: bytes) -> OneModel | None:
    """Clients write the slash of hub ids as it is, or as %2F. The name is only looked up, never sent on."""
    if not rest.startswith(b"/") or len(rest) < 2 or len(rest) > MODEL_ID_LIMIT or b"?" in rest:
        return None
    try:
        return OneModel(unquote_to_bytes(rest[1:]).decode())
    except UnicodeDecodeError:
        return None
