"""What is on this replica's disk: brought from its source, kept, and removed when nothing needs it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path

from lorikeet.agent.memory import Memory
from lorikeet.agent.model import Model
from lorikeet.agent.seen import Key
from lorikeet.agent.store import Staged, Store
from lorikeet.agent.supply import Supply, Unfit, other_bytes, problem_of
from lorikeet.api.conditions import Problem, Reason
from lorikeet.artifacts.errors import ArtifactError, Denied
from lorikeet.backoff import ELSEWHERE


class Stock:
    """Works on `store`, and writes down in `memory` what came and what went. Each piece of work returns one line."""

    def __init__(self, supply: Supply, store: Store, model: Model, memory: Memory) -> None:
        self.store, self.model = store, model
        self._supply, self._memory = supply, memory
        self._shelf = asyncio.Lock()  # adopting and removing one digest exclude each other

    async def fetch(self, key: Key) -> str:
        wish = self._memory.wishes.get(key)
        if wish is None:
            return "dropped"
        if (pin := self._memory.pins.get(key.uri)) is not None:  # here already, and not what this one insists on
            return self._failed(key, other_bytes(wish, pin))
        try:
            async with self._supply.bring(wish, self.model.facts) as (room, staged), self._shelf:
                await to_its_end(self._adopt(room, staged))
        except Unfit as unfit:
            self._memory.fail(key, "fetch", unfit.problem, known=unfit.staged)
            return f"failed: {unfit.problem.message}"
        except ArtifactError as error:
            elsewhere = isinstance(error, Denied) or error.reason is Reason.NO_SPACE
            asked = ELSEWHERE if elsewhere else error.retry_after
            return self._failed(key, problem_of(f"adapter {key.adapter}", error), asked)
        except OSError as error:
            message = f"adapter {key.adapter}: the replica's disk says {error.strerror}"
            return self._failed(key, Problem(reason=Reason.NO_SPACE, message=message), ELSEWHERE)
        self._memory.succeeded(key, "fetch")
        return "done"

    async def _adopt(self, room: Path, staged: Staged) -> None:
        await asyncio.to_thread(self.store.adopt, room, staged)
        self._memory.pins[staged.uri] = staged
        self._memory.on_disk.add(staged.digest)

    async def remove(self, digest: str) -> str:
        async with self._shelf:
            if self._users(digest):
                self._memory.on_disk.add(digest)
                return "dropped: it is wanted again"
            return await self._drop(digest)

    async def give_up(self, digest: str) -> str:
        """Remove files that are only kept, because what shall be loaded finds no room."""
        async with self._shelf:
            users, wishes = self._users(digest), self._memory.wishes
            if any(wishes[key].load for key in users):
                self._memory.on_disk.add(digest)
                return "dropped: it shall be loaded"
            outcome = await self._drop(digest)
        for key in users:
            said = f"adapter {key.adapter}: its files at {key.uri} were given up, the replica's disk is full"
            problem = Problem(reason=Reason.NO_SPACE, message=f"{said}: raise spec.storage.adapters")
            self._memory.fail(key, "fetch", problem, ELSEWHERE)
        return outcome

    def _users(self, digest: str) -> list[Key]:
        return [key for key, staged in self._memory.staged().items() if staged.digest == digest]

    async def _drop(self, digest: str) -> str:
        pins = self._memory.pins
        uris = tuple(uri for uri, pin in pins.items() if pin.digest == digest)
        for uri in uris:
            del pins[uri]
        try:
            await asyncio.to_thread(self.store.remove, digest, uris)
        except OSError as error:
            self._memory.balk(digest, f"the files of {digest[:12]} cannot be removed: {error.strerror}")
            self._memory.on_disk.add(digest)
            return f"failed: {error.strerror}"
        self._memory.room_made()
        return "done"

    def _failed(self, key: Key, problem: Problem, asked: float | None = None) -> str:
        self._memory.fail(key, "fetch", problem, asked)
        return f"failed: {problem.message}"


async def to_its_end(work: Coroutine[None, None, None]) -> None:
    """Do all of `work` even when cancelled meanwhile: files that nobody knows of would never be removed."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
