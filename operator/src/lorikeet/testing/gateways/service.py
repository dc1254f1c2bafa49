"""What a Kubernetes Service does for clients: each new connection goes to the next gateway that is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpcore
import httpx

from lorikeet.testing.gateways.process import GatewayProcess, until

PAUSE = 0.25
"""Seconds between probes. A kubelet asks less often, but hears of the end of a container at once."""
PROBE = aiohttp.ClientTimeout(total=10)


class Service(httpcore.AsyncNetworkBackend):
    """For httpx: whatever host and port are asked, one of the gateways is connected to. It ends no connection."""

    def __init__(self, gateways: Sequence[GatewayProcess]) -> None:
        self._gateways = gateways
        self._ready: dict[GatewayProcess, bool] = {}
        self._turn = 0
        self._network = httpcore.AnyIOBackend()

    def ready(self, gateway: GatewayProcess) -> bool:
        """Whether it gets new connections."""
        return self._ready.get(gateway, False)

    async def sees(self, gateway: GatewayProcess, *, ready: bool) -> None:
        """Wait until it gets new connections, or gets none. Raises TimeoutError."""
        await until(lambda: self.ready(gateway) == ready)

    def client(self) -> httpx.AsyncClient:
        """One whose connections go through this Service, and are used again."""
        transport = httpx.AsyncHTTPTransport()
        transport._pool = httpcore.AsyncConnectionPool(network_backend=self, keepalive_expiry=5.0)
        return httpx.AsyncClient(transport=transport, timeout=60.0)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises httpcore.ConnectError."""
        ready = [gateway for gateway in self._gateways if self.ready(gateway)]
        if not ready:
            raise httpcore.ConnectError("the Service has no endpoint")
        self._turn += 1
        gateway = ready[self._turn % len(ready)]
        return await self._network.connect_tcp("127.0.0.1", gateway.port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        """As httpcore asks."""
        await asyncio.sleep(seconds)

    async def probe(self, gateway: GatewayProcess) -> None:
        """Ask it for ever."""
        async with aiohttp.ClientSession(timeout=PROBE) as http:
            while True:
                try:
                    async with http.get(f"http://127.0.0.1:{gateway.admin}/readyz") as reply:
                        self._ready[gateway] = reply.status == 200
                except (aiohttp.ClientError, OSError, TimeoutError):
                    self._ready[gateway] = False
                await asyncio.sleep(PAUSE)


@asynccontextmanager
async def service(gateways: Sequence[GatewayProcess]) -> AsyncIterator[Service]:
    """One that has asked each of them before it serves."""
    made = Service(gateways)
    async with asyncio.TaskGroup() as group:
        probes = [group.create_task(made.probe(gateway)) for gateway in gateways]
        while len(made._ready) < len(gateways):  # noqa: ASYNC110 - a probe tells nobody else
            await asyncio.sleep(0.01)
        try:
            yield made
        finally:
            for probe in probes:
                probe.cancel()
