"""What is in bodies, as JSON Schema: the part of a request that this gateway reads, and its own replies.

What only an engine reads is marked `x-read-by: engine`, and goes on as it came.
"""

from __future__ import annotations

from typing import Any

from lorikeet.gateway import openai
from lorikeet.gateway.body import NAME_LIMIT, REFUSED
from lorikeet.gateway.generate import FIELDS
from lorikeet.gateway.warmup import MOST

Schema = dict[str, Any]
Body = tuple[str, Schema]
"""The name of a component, and its schema."""

NAME: Schema = {"type": "string", "minLength": 1, "maxLength": NAME_LIMIT}


def named(about: str, *, optional: bool = False) -> Schema:
    """The name of a model or an adapter."""
    return {"description": about, **(NAME | {"type": ["string", "null"]} if optional else NAME)}


def engines(about: str, kind: str | list[str] | None = None) -> Schema:
    """A field that only the engine reads."""
    return {"description": about, **({"type": kind} if kind else {}), "x-read-by": "engine"}


INLINE: Schema = {"type": "string", "pattern": "^data:"}
MEDIA: Schema = {
    "_embeds$": False,
    "_url$": {"anyOf": [INLINE, {"type": "object", "required": ["url"], "properties": {"url": INLINE}}]},
}
PART: Schema = {"description": "Media come inside the request, as data: URLs.", "patternProperties": MEDIA}
NEST: Schema = {"items": PART, "patternProperties": MEDIA}
MESSAGE: Schema = {
    "type": "object",
    "description": "A message. Media come inside the request, as data: URLs.",
    "patternProperties": MEDIA,
    "properties": {
        "role": engines("Who says it.", "string"),
        "content": {"description": "A text, or parts.", **NEST},
        "output": {"description": "As `content`, of a tool's call.", **NEST},
    },
}
INPUTS: Schema = {
    "description": "A text, or items with text and media.",
    "items": {"patternProperties": MEDIA, "properties": {"content": NEST, "output": NEST}},
}
TOOL: Schema = {"properties": {"type": {"enum": ["function", "custom"], "default": "function"}}}
TOOLS: Schema = {"description": "Functions, which are the client's to call.", "items": TOOL}
COMMON: dict[str, Schema] = {
    "model": named("A public name, an alias, NAMESPACE:NAME, or a base model's name."),
    "lora_name": named("With a base model's name in `model`: an adapter of that base.", optional=True),
    "tools": TOOLS,
    "stream": engines("Answer piece by piece, as server-sent events.", ["boolean", "null"]),
}
NOT_ACCEPTED: Schema = {
    "description": "Fields that run templates or code, read tensors, or reach into another tenant's cache, request or "
    "stored answers are refused.",
    "not": {"enum": sorted(REFUSED)},
}


def asked(about: str, required: tuple[str, ...], **more: Schema) -> Schema:
    """A body for an engine: further fields are the engine's."""
    return {
        "description": f"{about} Fields that are not listed go to the engine as they are, but for the refused ones.",
        "type": "object",
        "required": ["model", *required],
        "properties": {**COMMON, **more},
        "propertyNames": NOT_ACCEPTED,
    }


MESSAGES: Schema = {"description": "The conversation.", "type": "array", "minItems": 1, "items": MESSAGE}
CHAT: Body = ("ChatRequest", asked("What OpenAI's chat completions take.", ("messages",), messages=MESSAGES))
COMPLETION: Body = (
    "CompletionRequest",
    asked("What OpenAI's completions take.", ("prompt",), prompt=engines("What is to be continued.")),
)
EMBEDDING: Body = ("EmbeddingRequest", asked("What OpenAI's embeddings take.", (), input=INPUTS))
TURN: Schema = {"type": "object", "patternProperties": MEDIA, "properties": {"content": NEST, "output": NEST}}
TURNS: Schema = {
    "description": "A text, or items with text and media.",
    "anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": TURN}],
}
RESPONSE: Body = ("ResponseRequest", asked("What OpenAI's responses take.", ("input",), input=TURNS))

_GENERATE: dict[str, Schema] = {
    "prompt": {"description": "What is to be continued.", "type": "string"},
    "adapter": named("Who answers; the base model where there is just one and nothing is said.", optional=True),
    "model": named("Another word for `adapter`; both at once must say the same.", optional=True),
    "max_tokens": engines("The most to be written.", ["integer", "null"]),
    "temperature": engines("How much is left to chance.", ["number", "null"]),
    "top_p": engines("Of the likeliest tokens, only those with so much probability together.", ["number", "null"]),
    "seed": engines("Makes chance repeatable.", ["integer", "null"]),
    "stop": engines("Texts at which it ends."),
}
GENERATE: Body = (
    "GenerateRequest",
    {
        "type": "object",
        "required": ["prompt"],
        "properties": {name: _GENERATE[name] for name in sorted(FIELDS)},
        "additionalProperties": False,
    },
)
ADAPTERS: Body = (
    "AdapterNames",
    {
        "type": "object",
        "required": ["adapters"],
        "properties": {
            "adapters": {
                "description": "Public names.",
                "type": "array",
                "minItems": 1,
                "maxItems": MOST,
                "items": {"type": "string"},
            }
        },
    },
)

ANSWER: Body = (
    "EngineAnswer",
    {
        "description": "The engine's answer, byte for byte but for `model`, which is as the client wrote it.",
        "type": "object",
        "properties": {"model": {"type": "string"}},
    },
)
EVENTS: Schema = {
    "description": "Server-sent events, each `data: {…}` and an empty line; the last is `data: [DONE]`. A stream that "
    'breaks off ends in `data: {"error": {…, "code": "stream_interrupted"}}` and a closed connection.'
}
TEXT: Body = (
    "GeneratedText",
    {
        "type": "object",
        "required": ["model", "text"],
        "properties": {
            "model": {"description": "As the client wrote it.", "type": "string"},
            "text": {"type": "string"},
            "finish_reason": {"type": "string"},
            "usage": {"description": "Tokens, as the engine counted them.", "type": "object"},
        },
        "additionalProperties": False,
    },
)
MODEL: Body = (
    "Model",
    {
        "type": "object",
        "required": ["id", "object", "created", "owned_by", "root", "parent"],
        "properties": {
            "id": {"description": "What to write in `model`.", "type": "string"},
            "object": {"const": "model"},
            "created": {"description": "Seconds since 1970.", "type": "integer"},
            "owned_by": {"const": openai.OWNER},
            "root": {"description": "NAMESPACE:NAME, which always means this object.", "type": "string"},
            "parent": {"description": "The base model's name, for an adapter.", "type": ["string", "null"]},
        },
        "additionalProperties": False,
    },
)
MODELS: Body = (
    "Models",
    {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        },
        "additionalProperties": False,
    },
)
ALIVE: Body = ("Alive", {"type": "object", "required": ["status"], "properties": {"status": {"const": "ok"}}})
KEYS: Body = (
    "KeyCount",
    {"type": "object", "required": ["keys"], "properties": {"keys": {"type": "integer", "minimum": 0}}},
)


def by_adapter(name: str, about: str, each: Schema) -> Body:
    """Something of each adapter that was named."""
    rows = {"description": about, "type": "object", "additionalProperties": each}
    return name, {"type": "object", "required": ["adapters"], "properties": {"adapters": rows}}


BEGUN = by_adapter("Begun", "The pods that are asked, by adapter.", {"type": "array", "items": {"type": "string"}})
WARMED = by_adapter(
    "Warmed",
    "By adapter and pod: `ok`, or why not in a word or two.",
    {"type": "object", "additionalProperties": {"type": "string"}},
)
