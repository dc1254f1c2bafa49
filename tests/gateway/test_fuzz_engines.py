"""Whatever bytes engines answer. `make fuzz-gateway` goes on for as long as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import interrupted
from lorikeet.testing.fuzz.answers import Answer, answers
from lorikeet.testing.fuzz.engines import NAME, Said, replies
from lorikeet.testing.fuzz.stage import Stage

pytestmark = pytest.mark.slow

INTERRUPTED = interrupted().event()
ASKING = {
    "/v1/completions": b'{"model":"sql","prompt":"hi","stream":%b}',
    "/v1/chat/completions": b'{"model":"sql","messages":[],"stream":%b}',
    "/v1/generate": b'{"adapter":"sql","prompt":"hi"}',
}


@pytest.fixture(scope="module")
def patient() -> Iterator[Stage]:
    with Stage(Limits()) as stage:
        yield stage


@pytest.fixture(scope="module")
def hasty() -> Iterator[Stage]:
    with Stage(Limits(first_byte_seconds=0.03, gap_seconds=0.03)) as stage:
        yield stage


@given(path=st.sampled_from(sorted(ASKING)), said=st.booleans().flatmap(lambda stream: replies(stream=stream)))
def test_however_an_engine_answers_a_client_gets_all_of_it_an_error_or_a_cut(
    patient: Stage, hasty: Stage, path: str, said: Said
) -> None:
    stage = hasty if said.ends == "stays" and not said.whole else patient

    async def exchange() -> bytes:
        stage.engine.say = said
        talk = await stage.talk([request(path, said.stream)])
        await stage.rest()
        return talk.said

    got = answers(stage.run(exchange()))
    assert len(got) == 1, "one answer, and never silence"
    check(got[0], said, generate=path == "/v1/generate")


def request(path: str, stream: bool) -> bytes:
    body = ASKING[path] % (b"true" if stream else b"false") if b"%b" in ASKING[path] else ASKING[path]
    route = f"{path}/stream" if stream and path == "/v1/generate" else path
    head = f"POST {route} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def check(answer: Answer, said: Said, *, generate: bool) -> None:
    """All of what was said, an error in shape, or a cut that nobody takes for an end."""
    assert 200 <= answer.status < 300 or 400 <= answer.status < 600
    if not answer.relayed:
        assert answer.status >= 400
        assert answer.complete
        assert answer.in_shape
        assert not said.whole or said.ends == "resets"
        return
    expected = translated(said) if generate else said.body.replace(NAME, b'"sql"')
    if said.whole and said.ends != "resets":
        assert answer.complete
        assert answer.body == expected
    if said.cut:
        assert not answer.complete, "what broke off is not told as if it were whole"
        check_cut(answer.body, expected, stream=said.stream)
    if generate and answer.complete and answer.status == 200:
        check_texts(answer.body, stream=said.stream)
    events = answer.headers.get("content-type", "").startswith("text/event-stream")
    if events and not answer.complete and b"content-length" not in said.data:
        assert answer.body.endswith(INTERRUPTED)


def check_cut(body: bytes, expected: bytes, *, stream: bool) -> None:
    if stream:
        assert body.endswith(INTERRUPTED)
        body = body.removesuffix(INTERRUPTED)
        assert not body or body.endswith(b"\n\n"), "whole events before the error"
    assert expected.startswith(body)


def check_texts(body: bytes, *, stream: bool) -> None:
    """What /v1/generate says is its own, whatever the engine said."""
    events = [event for event in body.split(b"\n\n") if event] if stream else [b"data: " + body]
    for event in events:
        if event not in (b"data: [DONE]", b":"):
            assert {"text", "error"} & orjson.loads(event.removeprefix(b"data: ")).keys()


def translated(said: Said) -> bytes:
    """The answer of /v1/generate."""
    if not said.stream:
        return b'{"model":"sql","text":"a","finish_reason":"stop","usage":{"completion_tokens":1}}'
    events = said.body.split(b"\n\n")[:-2]
    texts = [orjson.loads(event.removeprefix(b"data: "))["choices"][0]["text"] for event in events]
    told = [b'data: {"model":"sql","text":"%b"}\n\n' % text.encode() for text in texts]
    return b"".join(told) + b"data: [DONE]\n\n"
