"""What happens to bytes on their way: wounds, and where the network splits them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import strategies as st

SCRAPS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0\r\n\r\n", b"\r\n\r\n", b"\xff", b"\x0b", b"-", b";a=b"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: x\r\n"),
    *(b"Transfer-Encoding: identity\r\n", b" HTTP/1.1", b"Expect: 100-continue\r\n", b"Connection: close\r\n"),
    *(
        b"GET /pause HTTP/1.1\r\nHost: e\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"data: [DONE]\n\n",
        b"ffffffffffffffff\r\n",
    ),
]
MOST_SPLITS = 6
LONG = 1000


@st.composite
def wounded(draw: st.DrawFn, whole: bytes, least: int = 0) -> bytes:
    """`whole` with `least` to four wounds."""
    data = whole
    for _ in range(draw(st.integers(least, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["insert", "lose", "change", "repeat", "end"])):
            case "insert":
                data = data[:at] + draw(st.sampled_from(SCRAPS)) + data[at:]
            case "lose":
                data = data[:at] + data[at + draw(st.integers(1, 8)) :]
            case "change":
                data = data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
            case "repeat":
                data = data[:at] + data[at : at + draw(st.integers(1, 60))] + data[at:]
            case _:
                data = data[:at]
    return data


@st.composite
def split(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """`whole` as it comes: at once, or in pieces cut anywhere."""
    cuts = draw(st.lists(st.integers(0, len(whole)), max_size=MOST_SPLITS, unique=True).map(sorted))
    places = [0, *cuts, len(whole)]
    return [whole[start:end] for start, end in pairwise(places) if end > start]


def shown(pieces: list[bytes]) -> str:
    """For people: the whole of short pieces, both ends of long ones."""
    return ", ".join(repr(piece) if len(piece) < LONG else f"{piece[:200]!r}…{piece[-200:]!r}" for piece in pieces)
