"""What engines say: replies good and broken, in pieces, and how their connections end."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st

from lorikeet.testing.fuzz.wounds import shown, split, wounded

NAME = b'"sql@3f9c1a7d20b4"'
ANSWER = b'{"model":' + NAME + b',"choices":[{"text":"a","finish_reason":"stop"}],"usage":{"completion_tokens":1}}'
EVENT = b'data: {"model":' + NAME + b',"choices":[{"text":"%d","finish_reason":null}]}\n\n'
DONE = b"data: [DONE]\n\n"
ERROR = b'data: {"error":{"message":"sql@3f9c1a7d20b4 is unwell","code":500}}\n\n'
STRANGE = [
    *(b"", b"{", b"null", b"[]", b"7", b'{"choices":{}}', b'{"choices":[7]}', b'{"choices":7,"usage":[]}', b"\xff\xfe"),
    *(
        b"data: ",
        b"data: {\n\n" + DONE,
        b"data: []\n\n" + DONE,
        b": ping\n\n" + EVENT % 1 + DONE,
        b"event: x\n" + EVENT % 1,
    ),
    *(
        EVENT % 1 + EVENT[:20] + DONE,
        EVENT % 1 + ERROR + DONE,
        EVENT % 1 + EVENT[:30],
        (EVENT % 1).replace(b"\n", b"\r\n"),
    ),
    *(b"data: " + b"x" * 300_000, b"\n\n" * 50, b'{"model":' * 2_000, b'data: {"choices":[7]}\n\n' + DONE),
]
EARLY = [b"100 Continue", b"103 Early Hints", b"102 Processing", b"101 Switching Protocols"]
STATUSES = [
    b"204 X",
    b"304 X",
    b"301 X",
    b"400 X",
    b"404 X",
    b"401 X",
    b"418 X",
    b"429 X",
    b"500 X",
    b"503 X",
    b"600 X",
    b"999 X",
]
LINES = [
    b"x: " + b"y" * 70_000,
    b"x",
    b"x : y",
    b"content-length: 3",
    b"transfer-encoding: chunked",
    b"retry-after: a b",
    b"x: \0",
]


@dataclass(frozen=True)
class Said:
    """What an engine says to one request. `ends`: whether it then closes, resets or stays silent."""

    pieces: list[bytes]
    ends: str
    body: bytes
    whole: bool
    """All of it is as it should be."""
    cut: bool
    """It is as it should be, but for an end that is missing."""
    stream: bool

    def __repr__(self) -> str:
        kind = "whole" if self.whole else "cut" if self.cut else "strange"
        return f"Said([{shown(self.pieces)}], {self.ends}, {kind}, stream={self.stream})"

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


@st.composite
def replies(draw: st.DrawFn, *, stream: bool) -> Said:
    """A good one, one that breaks off, or one that is nothing good."""
    kind = draw(st.sampled_from(["whole", "cut", "cut", "wounded", "strange", "strange"]))
    if kind == "strange":
        return Said(draw(split(draw(_strange(stream)))), draw(ENDS), b"", False, False, stream)
    body = b"".join(EVENT % number for number in range(draw(st.integers(0, 4)))) + DONE if stream else ANSWER
    data = draw(_good(body, stream))
    if kind == "cut":
        data = data[: draw(st.integers(0, len(data) - 1))]
    elif kind == "wounded":
        data = draw(wounded(data, least=1))
    return Said(draw(split(data)), draw(ENDS), body, kind == "whole", kind == "cut", stream)


ENDS = st.sampled_from(["closes", "resets", "stays"])


@st.composite
def _good(draw: st.DrawFn, body: bytes, stream: bool) -> bytes:
    early = b"".join(b"HTTP/1.1 %b\r\n\r\n" % line for line in draw(st.lists(st.sampled_from(EARLY[:3]), max_size=2)))
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n" % kind
    if not stream and draw(st.booleans()):
        return early + head + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in draw(split(body)))
    return early + head + b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


@st.composite
def _strange(draw: st.DrawFn, stream: bool) -> bytes:
    """Well framed or not, and with something in it that no engine of ours says."""
    body = draw(st.sampled_from([ANSWER, EVENT % 1 + DONE, *STRANGE]))
    early = b"HTTP/1.1 %b\r\n\r\n" % draw(st.sampled_from(EARLY)) * draw(st.sampled_from([0, 0, 1, 9, 50]))
    status = draw(st.sampled_from([b"200 OK"] * 12 + STATUSES))
    kind = draw(st.sampled_from([b"text/event-stream" if stream else b"application/json", b"text/plain", b"\xff"]))
    lines = draw(st.lists(st.sampled_from(LINES), max_size=1)) if draw(st.booleans()) else []
    version = draw(st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/2.0", b"SSH-2.0"]))
    head = b"%b %b\r\ncontent-type: %b\r\n" % (version, status, kind) + b"".join(line + b"\r\n" for line in lines)
    chunked = (
        b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)
        if body
        else b"transfer-encoding: chunked\r\n\r\n"
    )
    framed = [
        *[b"content-length: %d\r\n\r\n%b" % (len(body), body), chunked + b"0\r\n\r\n"] * 4,
        b"\r\n" + body,
        *(b"content-length: %d\r\n\r\n%b" % (len(body) + more, body) for more in (1, 2_000_000) if more >= 0),
        b"content-length: 1\r\n\r\n" + body,
        chunked + b"zz\r\n",
        chunked + b"ffffffffffffffffff\r\n",
        chunked + b"0\r\ncontent-length: 3\r\n\r\n",
    ]
    return early + head + draw(st.sampled_from(framed))
