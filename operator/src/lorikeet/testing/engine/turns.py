"""The simulator's /v1/responses: OpenAI's other shape, whole or as named events. Nothing is stored, as in vLLM."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from starlette.responses import JSONResponse, Response, StreamingResponse

from lorikeet.testing.engine.core import Core
from lorikeet.testing.engine.errors import BadRequest
from lorikeet.testing.engine.replies import Question, flat, generate, question


async def turn(core: Core, name: str, body: dict[str, Any]) -> Response:
    """An answer to `input`: a text, or messages."""
    texts = said(body.get("input"))
    limits = {"max_tokens": body.get("max_output_tokens"), "stream": body.get("stream")}
    asked = question(limits, texts[-1], " ".join(texts))
    head = {"id": f"resp_{uuid.uuid4().hex}", "object": "response", "created_at": int(time.time()), "model": name}
    if asked.stream:
        return StreamingResponse(events(core, name, asked, head), media_type="text/event-stream")
    words = [word async for word, _ in generate(core, name, asked)]
    return JSONResponse(whole(head, asked, words))


async def events(core: Core, name: str, asked: Question, head: dict[str, Any]) -> AsyncIterator[bytes]:
    """As vLLM names them, from the first to the last; no `[DONE]`."""
    number = 0

    def event(kind: str, **fields: object) -> bytes:
        nonlocal number
        data = {**fields, "sequence_number": number, "type": kind}
        number += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()

    begun = {**head, "status": "in_progress", "output": []}
    item = {"item_id": f"msg_{uuid.uuid4().hex}", "output_index": 0, "content_index": 0}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    words = []
    async for word, _ in generate(core, name, asked):
        words.append(word)
        yield event("response.output_text.delta", **item, delta=word, logprobs=[])
    yield event("response.output_text.done", **item, text="".join(words), logprobs=[])
    yield event("response.completed", response=whole(head, asked, words))


def whole(head: dict[str, Any], asked: Question, words: list[str]) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "output_text", "text": "".join(words), "annotations": [], "logprobs": None}
    ]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": content}
    usage = {
        "input_tokens": asked.prompt_tokens,
        "output_tokens": len(words),
        "total_tokens": asked.prompt_tokens + len(words),
    }
    return {**head, "status": "completed", "output": [message], "usage": usage}


def said(given: object) -> list[str]:
    if isinstance(given, str):
        return [given]
    messages = (
        [flat(item.get("content")) for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    )
    if not messages:
        raise BadRequest("Field required: input")
    return messages
