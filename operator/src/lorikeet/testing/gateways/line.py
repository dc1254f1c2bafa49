"""A line between gateways and their API server that can be cut, while others still reach it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.gateways.process import lasting_ports

PIECE = 65536


class Line:
    """Relays TCP. `kubeconfig` is the administrator's, by this line."""

    def __init__(self, api: ApiServer, folder: Path) -> None:
        (self._port,) = lasting_ports(1)
        self._target = urlsplit(api.url)
        self._listener: asyncio.Server | None = None
        self._relays: set[asyncio.Task[None]] = set()
        self.kubeconfig = folder / "by-line.kubeconfig"
        told = yaml.safe_load(api.kubeconfig.read_text())
        told["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{self._port}"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(told))

    async def mend(self) -> None:
        """Let it be used."""
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self._port)

    async def cut(self) -> None:
        """End every connection, and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
        for relay in list(self._relays):
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay = asyncio.create_task(self._relay(reader, writer))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            back, there = await asyncio.open_connection(self._target.hostname, self._target.port)
            await asyncio.gather(copy(reader, there), copy(back, writer))
        except OSError:
            pass
        finally:
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end, which is told."""
    while data := await reader.read(PIECE):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def line(api: ApiServer, folder: Path) -> AsyncIterator[Line]:
    """A whole one, which ends with the block."""
    made = Line(api, folder)
    await made.mend()
    try:
        yield made
    finally:
        await made.cut()
