"""/v1/generate: a text from a prompt, for scripts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lorikeet.gateway.generate import Texts, parse
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.relay import Events
from lorikeet.gateway.renamed import Renaming

TEXTS = Texts(Renaming(b'"sql@1"', b'"sql"'))
PIECES = Texts(Renaming(b'"sql@1"', b'"sql"'), stream=True)
DONE = {"choices": [{"text": "SELECT", "finish_reason": "stop"}], "model": "sql@1", "usage": {"total_tokens": 3}}
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Written(list[bytes]):
    def write(self, data: bytes) -> None:
        self.append(data)


def test_it_becomes_a_completion_of_the_adapter_that_is_named() -> None:
    asked = parse(b'{"prompt":"hi","max_tokens":5,"adapter":"sql","seed":null}', stream=True, base="base")
    assert json.loads(asked.of(b'"sql@1"')) == {"model": "sql@1", "prompt": "hi", "max_tokens": 5, "stream": True}
    assert asked.model == "sql"


def test_without_a_name_the_only_base_model_answers() -> None:
    assert parse(b'{"prompt":"hi"}', stream=False, base="base").model == "base"
    with pytest.raises(ApiError, match="not just one"):
        parse(b'{"prompt":"hi"}', stream=False, base=None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"prompt":"a","n":2}', "n"),
        (b'{"prompt":"a","cache_salt":"x"}', "cache_salt"),
        (b'{"prompt":["a"]}', "prompt"),
        (b"{}", "prompt"),
        (b'{"prompt":"a","adapter":["x"]}', "adapter"),
        (b'{"prompt":"a","adapter":""}', "adapter"),
        (b'{"prompt":"a","adapter":"x","model":"y"}', "adapter"),
        (b'{"prompt":"a","adapter":"%b"}' % (b"x" * 300), "adapter"),
    ],
)
def test_what_it_does_not_know_is_refused_by_name(body: bytes, param: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(body, stream=False, base="base")
    assert (refused.value.status, refused.value.param) == (400, param)


def test_an_answer_is_its_text_under_the_clients_name() -> None:
    said = {"model": "sql", "text": "SELECT", "finish_reason": "stop", "usage": {"total_tokens": 3}}
    assert json.loads(TEXTS.of(json.dumps(DONE).encode())) == said


def test_a_stream_is_its_texts_however_it_is_cut() -> None:
    error = b'data: {"error":{"message":"no sql@1"}}\n\n'
    whole = b'data: {"choices":[{"text":"SE"}]}\n\ndata: {"choices":[]}\n\n' + error + b"data: [DONE]\n\n"
    for size in range(1, len(whole)):
        events = Events(PIECES, written := Written())
        for start in range(0, len(whole), size):
            events.write(whole[start : start + size])
        events.finish()
        lines = b"".join(written).split(b"\n\n")
        assert lines[:2] == [b'data: {"model":"sql","text":"SE"}', b'data: {"model":"sql","text":""}']
        assert lines[2:] == [error.replace(b"sql@1", b"sql")[:-2], b"data: [DONE]", b""]


async def test_both_routes_answer_through_the_gateway(
    stack: Any, make_engine: Any, reply_with: Any, say_bytes: Any
) -> None:
    event = b'data: {"choices":[{"text":"SE"}]}\n\ndata: [DONE]\n\n'
    stream = say_bytes(SSE + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event))
    engine = await make_engine(reply_with(json.dumps(DONE).encode()), stream)
    stack.route(engine)
    body = b'{"prompt":"hi","adapter":"sql"}'
    assert (await stack.client.post(body, "/v1/generate")).json()["text"] == "SELECT"
    streamed = (await stack.client.post(body, "/v1/generate/stream")).body
    assert b'data: {"model":"sql","text":"SE"}\n\ndata: [DONE]\n\n' in streamed
    assert [heard.head.split(" ")[1] for heard in engine.heard] == ["/v1/completions"] * 2


async def test_an_engine_that_says_no_json_costs_this_request_and_nothing_else(
    stack: Any, make_engine: Any, reply_with: Any
) -> None:
    stack.route(await make_engine(reply_with(b"nonsense"), reply_with(json.dumps(DONE).encode())))
    answers = [await stack.client.post(b'{"prompt":"hi","adapter":"sql"}', "/v1/generate") for _ in range(2)]
    assert [answer.status for answer in answers] == [502, 200]
    assert answers[0].json()["error"]["code"] == "engine_error"


@pytest.mark.parametrize(
    "event", [b"data: nonsense", b"data: []", b'data: {"choices":[7]}', b"nonsense", b"data: " + b"x" * 2_000_000]
)
async def test_a_stream_that_makes_no_sense_ends_in_an_error_and_is_not_done(
    stack: Any, make_engine: Any, say_bytes: Any, caplog: Any, event: bytes
) -> None:
    whole = b'data: {"choices":[{"text":"SE"}]}\n\n' + event + b"\n\ndata: [DONE]\n\n"
    stack.route(await make_engine(say_bytes(SSE + b"%x\r\n%b\r\n0\r\n\r\n" % (len(whole), whole))))
    body = (await stack.client.post(b'{"prompt":"hi","adapter":"sql"}', "/v1/generate/stream")).body
    assert b"stream_interrupted" in body
    assert b"[DONE]" not in body
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_an_answer_in_chunks_is_an_answer(stack: Any, make_engine: Any, say_bytes: Any) -> None:
    said, head = json.dumps(DONE).encode(), b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, said[:5], len(said) - 5, said[5:])
    stack.route(await make_engine(say_bytes(head + b"transfer-encoding: chunked\r\n\r\n" + chunks)))
    answer = await stack.client.post(b'{"prompt":"hi","adapter":"sql"}', "/v1/generate")
    assert answer.json()["text"] == "SELECT"
