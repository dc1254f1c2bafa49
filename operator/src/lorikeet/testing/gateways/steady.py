"""Plain clients at a steady rate, each gateway asked in turn with each key that is in use."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from lorikeet.testing.gateways.process import GatewayProcess

AT_ONCE = 300
BODY = b'{"model":"sql","prompt":"What is a pod?"}'


class Steady:
    """`outcomes`: (key, gateway, status) → how often; `keys` may be changed while it runs."""

    def __init__(self, http: aiohttp.ClientSession, gateways: Sequence[GatewayProcess], rate: float) -> None:
        self._http, self._gateways, self._rate = http, gateways, rate
        self.keys: list[str] = []
        self.outcomes: Counter[tuple[str, GatewayProcess, int]] = Counter()
        self.delays: list[float] = []
        """Seconds of each answer."""
        self._asked: Counter[str] = Counter()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Ask until cancelled; who comes late asks the sooner, so that the rate is kept as far as the machine can."""
        began, number = time.monotonic(), itertools.count()
        async with asyncio.TaskGroup() as asking:
            while True:
                sent = next(number)
                await asyncio.sleep(began + sent / self._rate - time.monotonic())
                if self.keys:
                    await self._places.acquire()
                    key = self.keys[sent // len(self._gateways) % len(self.keys)]
                    asking.create_task(self._ask(key, self._gateways[sent % len(self._gateways)]))

    async def _ask(self, key: str, gateway: GatewayProcess) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        began = time.monotonic()
        self._asked[key] += 1
        try:
            url = f"http://127.0.0.1:{gateway.port}/v1/completions"
            async with self._http.post(url, data=BODY, headers=headers) as reply:
                await reply.read()
                self.outcomes[key, gateway, reply.status] += 1
            self.delays.append(time.monotonic() - began)
        except (aiohttp.ClientError, OSError):
            self.outcomes[key, gateway, 0] += 1
        finally:
            self._places.release()

    def statuses(self, *keys: str) -> Counter[int]:
        """Of these keys alone, on all gateways."""
        found: Counter[int] = Counter()
        for (key, _, status), often in self.outcomes.items():
            found[status] += often if key in keys else 0
        return +found

    async def answered(self, key: str) -> None:
        """Wait until nothing that was asked with this key is under way; it is no longer in use."""
        while self.statuses(key).total() < self._asked[key]:  # noqa: ASYNC110 - a count tells nobody
            await asyncio.sleep(0.02)

    async def more(self, requests: int, *keys: str) -> None:
        """Wait until each of these keys was answered so many times more."""
        wanted = {key: self.statuses(key).total() + requests for key in keys}
        while any(self.statuses(key).total() < wanted[key] for key in keys):  # noqa: ASYNC110 - a count tells nobody
            await asyncio.sleep(0.02)


@asynccontextmanager
async def steady(rate: float, *gateways: GatewayProcess) -> AsyncIterator[Steady]:
    """One that runs as long as the block; what is asked at its end is left unanswered and uncounted."""
    connections = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connections) as http:
        made = Steady(http, gateways, rate)
        running = asyncio.create_task(made.run())
        try:
            yield made
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
