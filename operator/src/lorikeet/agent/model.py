"""The base model on this replica: there before the engine starts, fetched and verified by the same code as adapters."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.agent.disk import Disk
from lorikeet.agent.supply import problem_of
from lorikeet.api.conditions import Reason
from lorikeet.api.shape import Shape
from lorikeet.api.wire import ModelState
from lorikeet.artifacts import fetch, source
from lorikeet.artifacts.errors import ArtifactError
from lorikeet.artifacts.facts import ModelFacts, inspect_model
from lorikeet.artifacts.hub import Hub
from lorikeet.backoff import ELSEWHERE, Backoff

MANIFEST = ".lorikeet.json"
CAPS = fetch.Caps(files=1024, bytes=1024**4, seconds=6 * 3600.0)
log = logging.getLogger(__name__)


class Manifest(Shape):
    """Written beside a complete model: what it is, and each file's size."""

    uri: str
    revision: str
    sizes: dict[str, int]


@dataclass
class Model:
    """The model of `uri` in `folder`. `state` and `facts` are what is known; `changed` is called when they change."""

    uri: str
    folder: Path
    hub: Hub
    disk: Disk = field(default_factory=Disk)
    backoff: Backoff = field(default_factory=Backoff)
    changed: Callable[[], None] = lambda: None
    state: ModelState = field(default_factory=lambda: ModelState(reason=Reason.FETCHING))
    facts: ModelFacts | None = None
    """None for a model inside the engine's image: the agent cannot see it."""

    async def open(self) -> None:
        """Take over a model that is there in full: an agent that was only restarted must not deny it."""
        with suppress(ArtifactError, OSError):  # `keep_trying` finds the same, and says it
            if (there := await self._there()) is not None:
                self._now(there)

    async def keep_trying(self) -> None:
        """Return once the model is there."""
        attempts = 0
        while not self.state.ready:
            try:
                self._now(await self._ensure())
            except (ArtifactError, OSError) as error:
                attempts += 1
                await asyncio.sleep(self._failed(error, attempts))

    async def _ensure(self) -> ModelState:
        """Raises ArtifactError, OSError."""
        return await self._there() or await self._inspected(await self._fetch())

    async def _there(self) -> ModelState | None:
        """The model on the disk, or in the engine's image; None where it is not. Raises ArtifactError, OSError."""
        if not self.uri.startswith("hf://"):
            return ModelState(ready=True)
        found = await asyncio.to_thread(complete, self.folder, self.uri)
        return await self._inspected(found.revision) if found is not None else None

    async def _inspected(self, revision: str) -> ModelState:
        self.facts = await asyncio.to_thread(inspect_model, self.folder)
        return ModelState(ready=True, revision=revision, lora_width=self.facts.lora_width)

    async def _fetch(self) -> str:
        """Fetch into a folder beside, then rename: a model under its name is complete. Its revision."""
        listing = await fetch.resolve(self.hub, source.parse(self.uri), None)
        fresh = self.folder.with_name(f".{self.folder.name}.incoming")
        for leftover in (fresh, self.folder):
            await asyncio.to_thread(self.disk.remove, leftover)
        await asyncio.to_thread(self.disk.make, fresh)
        log.info("fetch the base model %s", listing.source)
        fetched = await fetch.fetch(self.hub, listing, fetch.model_files(listing), fresh, None, CAPS)
        await asyncio.to_thread(inspect_model, fresh)
        await asyncio.to_thread(self._publish, fresh, listing.source.revision, tuple(fetched.files))
        return listing.source.revision

    def _publish(self, fresh: Path, revision: str, names: tuple[str, ...]) -> None:
        sizes = {name: (fresh / name).stat().st_size for name in names}
        for name in names:
            self.disk.sync(fresh / name)
        manifest = Manifest(uri=self.uri, revision=revision, sizes=sizes)
        self.disk.write(fresh / MANIFEST, manifest.model_dump_json().encode())
        self.disk.sync(fresh)
        self.disk.rename(fresh, self.folder)
        self.disk.sync(self.folder.parent)

    def _failed(self, error: ArtifactError | OSError, attempts: int) -> float:
        """Say it; the seconds to wait."""
        if isinstance(error, ArtifactError):
            problem = problem_of("the base model", error)
            self._now(ModelState(reason=problem.reason, message=problem.message))
            asked = ELSEWHERE if error.lasting else error.retry_after
        else:
            self._now(ModelState(reason=Reason.NO_SPACE, message=f"the base model: {error.strerror}"))
            asked = 10.0
        return self.backoff.delay(attempts, asked, random.random())  # noqa: S311 - spreads retries, guards nothing

    def _now(self, state: ModelState) -> None:
        if state != self.state:
            self.state = state
            log.info("base model %s: %s", self.uri, "ready" if state.ready else state.message)
            self.changed()


def complete(folder: Path, uri: str) -> Manifest | None:
    """The manifest of a model that is there in full; None otherwise."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        whole = all((folder / name).stat().st_size == size for name, size in manifest.sizes.items())
    except (OSError, ValueError):
        return None
    return manifest if whole and manifest.uri == uri else None
