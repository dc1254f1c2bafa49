"""The simulator's answers: OpenAI's shapes, whole or as a stream of server-sent events. One word is one token."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from lorikeet.testing.engine.core import Core
from lorikeet.testing.engine.errors import BadRequest

DEFAULT_TOKENS = 256


@dataclass(frozen=True)
class Question:
    """What was asked, read from either kind of body."""

    text: str
    prompt_tokens: int
    max_tokens: int
    stream: bool
    with_usage: bool


@dataclass(frozen=True)
class Shape:
    """How one kind of endpoint writes its answers."""

    prefix: str
    kind: str
    stream_kind: str
    whole: Callable[[str], dict[str, Any]]
    part: Callable[[str], dict[str, Any]]
    opening: dict[str, Any] | None


CHAT = Shape(
    "chatcmpl",
    "chat.completion",
    "chat.completion.chunk",
    lambda text: {"message": {"role": "assistant", "content": text}},
    lambda text: {"delta": {"content": text}},
    {"delta": {"role": "assistant", "content": ""}},
)
COMPLETION = Shape(
    "cmpl", "text_completion", "text_completion", lambda text: {"text": text}, lambda text: {"text": text}, None
)


async def chat(core: Core, name: str, body: dict[str, Any]) -> Response:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(item, dict) for item in messages):
        raise BadRequest("Field required: messages")
    texts = [flat(message.get("content")) for message in messages]
    return await answer(core, name, CHAT, question(body, texts[-1], " ".join(texts)))


async def completion(core: Core, name: str, body: dict[str, Any]) -> Response:
    prompt = body.get("prompt")
    if not isinstance(prompt, str):
        raise BadRequest("Field required: prompt")
    return await answer(core, name, COMPLETION, question(body, prompt, prompt))


async def answer(core: Core, name: str, shape: Shape, asked: Question) -> Response:
    if asked.prompt_tokens >= core.settings.max_model_len:
        limit = core.settings.max_model_len
        raise BadRequest(
            f"This model's maximum context length is {limit} tokens, the prompt has {asked.prompt_tokens}."
        )
    head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}
    if asked.stream:
        return StreamingResponse(events(core, name, shape, asked, head), media_type="text/event-stream")
    words = []
    async for word, reason in generate(core, name, asked):
        words.append(word)
        finish = reason
    choice = {"index": 0, **shape.whole("".join(words)), "logprobs": None, "finish_reason": finish}
    used = usage(asked, len(words))
    return JSONResponse({**head, "object": shape.kind, "choices": [choice], "usage": used})


async def events(core: Core, name: str, shape: Shape, asked: Question, head: dict[str, Any]) -> AsyncIterator[bytes]:
    head = {**head, "object": shape.stream_kind}

    def event(choices: list[dict[str, Any]], **more: object) -> bytes:
        return b"data: " + json.dumps({**head, "choices": choices, **more}).encode() + b"\n\n"

    if shape.opening:
        yield event([{"index": 0, **shape.opening, "logprobs": None, "finish_reason": None}])
    count = 0
    async for word, reason in generate(core, name, asked):
        count += 1
        yield event([{"index": 0, **shape.part(word), "logprobs": None, "finish_reason": reason}])
    if asked.with_usage:
        yield event([], usage=usage(asked, count))
    yield b"data: [DONE]\n\n"


async def generate(core: Core, name: str, asked: Question) -> AsyncIterator[tuple[str, str | None]]:
    """Words with the blank before them, and with the last one why it is the last."""
    async with core.request(name) as weights:
        words = re.findall(r"\s*\S+", weights.answer(name, asked.text))
        shown = words[: asked.max_tokens]
        for number, word in enumerate(shown, start=1):
            await core.step(asked.prompt_tokens if number == 1 else 0)
            last = "stop" if len(shown) == len(words) else "length"
            yield word, last if number == len(shown) else None


def question(body: dict[str, Any], text: str, prompt: str) -> Question:
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or DEFAULT_TOKENS
    if not isinstance(limit, int) or limit < 1:
        raise BadRequest(f"max_tokens must be at least 1, got {limit}.")
    options = body.get("stream_options") or {}
    return Question(text, len(prompt.split()), limit, bool(body.get("stream")), bool(options.get("include_usage")))


def flat(content: object) -> str:
    """A message's text, which may come in parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def usage(asked: Question, tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": asked.prompt_tokens,
        "total_tokens": asked.prompt_tokens + tokens,
        "completion_tokens": tokens,
    }
