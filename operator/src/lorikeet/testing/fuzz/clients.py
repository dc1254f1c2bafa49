"""What clients say: requests good and bad, one after another, whole or wounded."""

from __future__ import annotations

from dataclasses import dataclass

import orjson
from hypothesis import strategies as st

from lorikeet.testing.fuzz.wounds import shown, split, wounded

ASKING = [b"/v1/completions", b"/v1/chat/completions", b"/v1/generate", b"/v1/generate/stream"]
LINES = [
    *(b"GET /v1/models HTTP/1.1", b"GET /v1/models/sql HTTP/1.1", b"GET /health HTTP/1.1", b"POST /pause HTTP/1.1"),
    *(b"POST //v1/completions HTTP/1.1", b"post /v1/completions HTTP/1.1", b"POST /v1/completions HTTP/1.0"),
    *(b"POST /v1/completions", b"POST http://gw/v1/completions HTTP/1.1", b"CONNECT gw:80 HTTP/1.1"),
    b"POST /v1/completions?" + b"x" * 20_000 + b" HTTP/1.1",
]
HOSTS = [b"Host: gw\r\n", b"Host: gw\r\nHost: gw\r\n", b"", b"host:\r\n"]
HEADERS = [
    *(b"X: y", b"Accept: text/event-stream", b"Connection: close", b"Connection: keep-alive", b"Expect: 100-continue"),
    *(b"Expect: more", b"Upgrade: h2c", b"Content-Encoding: gzip", b"Content-Type: a/b\r\nContent-Type: c/d"),
    *(b"X: folded\r\n over", b"X : spaced", b": nameless", b"X", b"X: \0", b"X: " + b"y" * 17_000),
    b"\r\n".join([b"X: y"] * 101),
]
LARGE = 2000
HIDDEN = 'POST /v1/completions HTTP/1.1\r\nHost: e\r\nContent-Length: 32\r\n\r\n{"model":"sql","prompt":"hidden"}'


@dataclass(frozen=True)
class Request:
    """One that was meant. `mark`: the prompt by which an engine hears it."""

    data: bytes
    mark: str


@dataclass(frozen=True)
class Speech:
    """Everything that a client says on one connection."""

    pieces: list[bytes]
    requests: list[Request]
    whole: bool
    """Nothing was wounded."""
    leaves: bool
    """It goes away without having read."""

    def __repr__(self) -> str:
        return f"Speech([{shown(self.pieces)}], whole={self.whole}, leaves={self.leaves})"

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)


@st.composite
def speeches(draw: st.DrawFn) -> Speech:
    """One to three requests, in whatever state."""
    requests = [draw(_request(f"mark-{number}")) for number in range(draw(st.integers(1, 3)))]
    data = b"".join(request.data for request in requests)
    hurt = draw(st.booleans())
    if hurt:
        data = draw(wounded(data, least=1))
    return Speech(draw(split(data)), requests, not hurt, draw(st.sampled_from([False] * 5 + [True])))


@st.composite
def _request(draw: st.DrawFn, mark: str) -> Request:
    path = draw(st.sampled_from(ASKING))
    line = b"POST %b HTTP/1.1" % path if _mostly(draw) else draw(st.sampled_from(LINES))
    host = HOSTS[0] if _mostly(draw) else draw(st.sampled_from(HOSTS))
    more = [] if _mostly(draw) else draw(st.lists(st.sampled_from(HEADERS), max_size=3))
    body = draw(_body(path, mark))
    framing, sent = draw(_framed(body))
    head = line + b"\r\n" + host + b"".join(header + b"\r\n" for header in more) + framing
    return Request(head + b"\r\n" + sent, mark)


@st.composite
def _body(draw: st.DrawFn, path: bytes, mark: str) -> bytes:
    if not _mostly(draw):
        return draw(st.sampled_from([b"", b"{", b"[]", b'{"model":1}', b'{"model":"sql","model":"base"}', b"\xff" * 9]))
    fields: dict[str, object] = {"prompt": mark}
    if b"generate" in path:
        fields["adapter"] = draw(st.sampled_from(["sql", "base"]))
        return orjson.dumps(fields)
    fields["model"] = draw(st.sampled_from(["sql", "base", "ns:sql", "nobody"]))
    fields["stream"] = draw(st.booleans())
    fields["user"] = draw(st.sampled_from(["x" * LARGE, HIDDEN, ""]))
    return orjson.dumps(fields)


@st.composite
def _framed(draw: st.DrawFn, body: bytes) -> tuple[bytes, bytes]:
    """Header lines that say how long it is, and the body as it is sent."""
    length, chunked = b"Content-Length: %d\r\n" % len(body), b"Transfer-Encoding: chunked\r\n"
    if _mostly(draw):
        return (length, body) if draw(st.booleans()) else (chunked, draw(_chunks(body, strange=False)))
    framing = draw(
        st.sampled_from(
            [
                *(chunked, b"", length + length, length + chunked, chunked + length, chunked + chunked),
                *(
                    b"Transfer-Encoding: gzip, chunked\r\n",
                    b"Transfer-Encoding: Chunked\r\n",
                    b"Content-Length: -1\r\n",
                ),
                *(b"Transfer-Encoding: chunked, identity\r\n", b"Transfer-Encoding:\x0bchunked\r\n"),
                *(b"Content-Length: %d\r\n" % (len(body) + more) for more in (-1, 1, 50_000_000)),
            ]
        )
    )
    return framing, draw(_chunks(body, strange=True)) if b"hunked" in framing else body


@st.composite
def _chunks(draw: st.DrawFn, body: bytes, *, strange: bool) -> bytes:
    size = draw(st.integers(1, max(len(body), 1)))
    pieces = [body[start : start + size] for start in range(0, len(body), size)][:200]
    pieces += [body[200 * size :]] if len(body) > 200 * size else []
    formats = [b"%x\r\n%b\r\n"]
    if strange:
        formats += [
            b"%X\r\n%b\r\n",
            b"000%x\r\n%b\r\n",
            b"%x;a=b\r\n%b\r\n",
            b"%x \r\n%b\r\n",
            b"0x%x\r\n%b\r\n",
            b"%x\n%b\n",
        ]
    form = draw(st.sampled_from(formats))
    ends = [b"0\r\n\r\n"] + strange * [
        b"0\r\nX: y\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\n",
        b"00\r\n\r\n",
        b"",
    ]
    return b"".join(form % (len(piece), piece) for piece in pieces) + draw(st.sampled_from(ends))


def _mostly(draw: st.DrawFn) -> bool:
    """Few faults at once: a request with many of them ends at the first."""
    return draw(st.integers(0, 4)) < 4
