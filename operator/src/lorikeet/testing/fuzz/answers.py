"""What a client makes of the gateway's bytes, by another parser than the gateway's."""

from __future__ import annotations

from dataclasses import dataclass

import h11
import orjson


@dataclass(frozen=True)
class Answer:
    """One reply. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def relayed(self) -> bool:
        """An engine said it."""
        return "x-lorikeet-replica" in self.headers

    @property
    def in_shape(self) -> bool:
        """An error as OpenAI's clients read it."""
        error = orjson.loads(self.body)["error"]
        return error.keys() == {"message", "type", "param", "code"} and isinstance(error["code"], str)


def answers(said: bytes) -> list[Answer]:
    """Every reply in what the gateway said until it hung up. Raises h11.RemoteProtocolError for what is not HTTP."""
    found = []
    while said:
        answer, said = _next(said)
        if answer is not None:
            found.append(answer)
    return found


def _next(said: bytes) -> tuple[Answer | None, bytes]:
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    client.send(h11.Request(method="POST", target="/", headers=[("Host", "gw"), ("Content-Length", "0")]))
    client.send(h11.EndOfMessage())
    client.receive_data(said)
    head, body = None, bytearray()
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif not isinstance(event, h11.InformationalResponse):  # the end, or not yet the end
            break
    complete = isinstance(event, h11.EndOfMessage)
    if head is None:
        return None, b""
    headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
    return Answer(head.status_code, headers, bytes(body), complete), client.trailing_data[0] if complete else b""
