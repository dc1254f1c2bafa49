"""Clients that ask one model again and again, and what became of each request."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

PATIENCE = aiohttp.ClientTimeout(total=120.0)


@dataclass(frozen=True)
class Asked:
    """One request. `began` is what the clients' `now` said then."""

    question: str
    began: int
    ended: int
    status: int
    """0: no answer, or half of one."""
    said: str
    """The answer, or what was said instead."""
    seconds: float


class Askers:
    """`async with Askers(url, "sql", questions, 4) as asked:` asks from so many clients as long as the block lasts.

    `now` tells what time it is in the test's own counting; `pause` is in seconds, after each answer.
    """

    def __init__(
        self,
        gateway: str,
        model: str,
        questions: Sequence[str],
        clients: int = 1,
        *,
        pause: float = 0.0,
        now: Callable[[], int] = lambda: 0,
        headers: dict[str, str] | None = None,
    ) -> None:
        self.model, self.all = model, list[Asked]()
        self._url, self._questions, self._clients = f"{gateway}/v1/chat/completions", questions, clients
        self._pause, self._now, self._headers = pause, now, headers
        self._over = False
        self._turned = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=PATIENCE, connector=aiohttp.TCPConnector(limit=0))
        self._tasks = [asyncio.create_task(self._ask_on(client)) for client in range(self._clients)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)
        await self._http.close()

    @property
    def failed(self) -> Counter[str]:
        """What was said where it was not 200 → how often."""
        return Counter(f"{one.status}: {one.said}" for one in self.all if one.status != 200)

    async def heard(self, met: Callable[[Asked], bool]) -> None:
        """Until a request that begins now or later meets `met`."""
        seen, deadline = len(self.all), time.monotonic() + 120.0
        async with self._turned:
            while not any(map(met, self.all[seen:])):
                assert time.monotonic() < deadline, f"still waiting for another answer than {self.all[-3:]}"
                await asyncio.wait_for(self._turned.wait(), 120.0)

    async def _ask_on(self, client: int) -> None:
        number = client
        while not self._over:
            number += 1
            asked = await self.ask(self._questions[number % len(self._questions)])
            async with self._turned:
                self.all.append(asked)
                self._turned.notify_all()
            await asyncio.sleep(self._pause)

    async def ask(self, question: str) -> Asked:
        """One request."""
        body = {"model": self.model, "messages": [{"role": "user", "content": question}], "temperature": 0}
        began, clock = self._now(), time.monotonic()
        try:
            async with self._http.post(self._url, json=body | {"max_tokens": 60}, headers=self._headers) as reply:
                status, said = reply.status, words(await reply.text())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            status, said = 0, repr(error)
        return Asked(question, began, self._now(), status, said, time.monotonic() - clock)


def words(text: str) -> str:
    """The answer in a reply; the whole text where there is none."""
    try:
        body: Any = json.loads(text)
        return str(body["choices"][0]["message"]["content"]).strip()
    except (ValueError, LookupError, TypeError):
        return text[:300]
