"""The official client, asking at a steady rate; needs the developer's requirements."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import openai

from lorikeet.testing.gateways.service import Service

AT_ONCE = 200


class Chat:
    """`outcomes`: "right", or what went wrong in the client's words → how often."""

    def __init__(self, client: openai.AsyncOpenAI, model: str, rate: float) -> None:
        self.outcomes: Counter[str] = Counter()
        self._client, self._model, self._pause = client, model, 1 / rate
        self._over = asyncio.Event()
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self) -> None:
        """Ask until told to end; return when all was answered."""
        ending = asyncio.create_task(self._over.wait())
        async with asyncio.TaskGroup() as asking:
            while not self._over.is_set():
                await self._places.acquire()
                asking.create_task(self._ask())
                await asyncio.wait({ending}, timeout=self._pause)

    def end(self) -> None:
        """Ask no more."""
        self._over.set()

    async def _ask(self) -> None:
        try:
            said = await self._client.completions.create(model=self._model, prompt="What is a pod?")
            self.outcomes["right" if said.model == self._model else f"an answer of {said.model}"] += 1
        except openai.OpenAIError as error:
            self.outcomes[f"{type(error).__name__}: {error} {error.__cause__!r}"] += 1
        finally:
            self._places.release()


@asynccontextmanager
async def chatting(service: Service, key: str, model: str, rate: float) -> AsyncIterator[Chat]:
    """The client as it is installed: it tries twice more by itself. In the end every request was answered."""
    async with (
        service.client() as http,
        openai.AsyncOpenAI(base_url="http://gateway/v1", api_key=key or "sk-none", http_client=http) as client,
        asyncio.TaskGroup() as group,
    ):
        chat = Chat(client, model, rate)
        group.create_task(chat.run())
        try:
            yield chat
        finally:
            chat.end()
