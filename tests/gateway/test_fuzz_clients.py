"""Whatever bytes clients send. `make fuzz-gateway` goes on for as long as one likes."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest
from hypothesis import given

from lorikeet.gateway.limits import Limits
from lorikeet.testing.fuzz.answers import Answer, answers
from lorikeet.testing.fuzz.clients import Speech, speeches
from lorikeet.testing.fuzz.recorder import Heard
from lorikeet.testing.fuzz.stage import ENGINE_NAME, Stage, Talk

pytestmark = pytest.mark.slow

HASTY = Limits(
    request_seconds=0.05,
    idle_seconds=0.02,
    linger_seconds=0.01,
    cold_seconds=0,
    body_bytes=100_000,
    bodies_bytes=300_000,
    small_bytes=1_000,
)
AT_ONCE = 4096
"""Bytes that surely come in one read, if they were sent in one piece."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage(HASTY) as stage:
        yield stage


@given(speech=speeches())
def test_whatever_a_client_says_is_heard_once_at_most_answered_in_shape_and_leaves_nothing(
    stage: Stage, speech: Speech
) -> None:
    async def exchange() -> tuple[Talk, list[Heard]]:
        stage.engine.heard.clear()
        talk = await (stage.talk(speech.pieces, leave=True) if speech.leaves else stage.ask(speech.pieces))
        await stage.settle()
        heard = list(stage.engine.heard)
        await stage.rest()
        return talk, heard

    talk, heard = stage.run(exchange())
    said = answers(talk.said)
    for answer in said:
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.status < 400 or (answer.complete and answer.in_shape), answer
    check_plain(heard)
    if not speech.leaves and not talk.broke:
        assert numbers(said) == [one.number for one in heard], "each answer is that of one request, heard once"
        assert said or not speech.data.strip(b"\r\n"), "never silence"
    if speech.whole:
        marks = [one.body["prompt"] for one in heard]
        meant = [request.mark for request in speech.requests]
        assert marks == [mark for mark in meant if mark in marks], "none twice, none that was hidden in another's body"
    if len(speech.pieces) == 1 and len(speech.data) < AT_ONCE:
        assert len(heard) <= 1, "what comes on the heels of a request is not read"


def check_plain(heard: list[Heard]) -> None:
    """Each is one request of ours, with nothing of the client's but its body."""
    for one in heard:
        names = [line.split(":")[0] for line in one.lines[1:]]
        assert one.lines[0] in {f"POST /v1/{path} HTTP/1.1" for path in ("completions", "chat/completions")}
        assert names == ["host", "authorization", "accept", "content-type", "content-length"]
        assert one.body["model"] in (ENGINE_NAME, "base")


def numbers(said: list[Answer]) -> list[int]:
    """The requests that the engine's answers are those of."""
    found = []
    for answer in said:
        if answer.relayed:
            assert answer.complete
            first = answer.body.removeprefix(b"data: ").split(b"\n\n")[0]
            told = orjson.loads(first)
            found.append(int(told["text"] if "text" in told else told["choices"][0]["text"]))
    return found
