"""One adapter from its source to verified, compatible files in the store's room."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.agent.space import Space
from lorikeet.agent.store import Staged, Store
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.wire import Resolve, Resolved, WantedAdapter
from lorikeet.artifacts import fetch, source
from lorikeet.artifacts.adapter_config import read_config
from lorikeet.artifacts.errors import ArtifactError, Unavailable
from lorikeet.artifacts.facts import ModelFacts, inspect_adapter
from lorikeet.artifacts.fit import Terms, fit, fit_config
from lorikeet.artifacts.hub import Hub, Listing


class Unfit(Exception):
    """The files are whole, but they are not for this server."""

    def __init__(self, problem: Problem, staged: Staged) -> None:
        super().__init__(problem.message)
        self.problem, self.staged = problem, staged


@dataclass(frozen=True)
class Supply:
    """What fetches need. `sources` is the folder of tokens."""

    hub: Hub
    store: Store
    space: Space
    sources: Path
    server: str
    max_rank: int
    caps: fetch.Caps = field(default_factory=fetch.Caps)

    async def resolve(self, ask: Resolve) -> Resolved:
        """What a source means now. Raises ArtifactError."""
        wanted = source.parse(ask.uri)
        token = await asyncio.to_thread(source.credentials, self.sources, ask.credentials_key)
        pinned = (await fetch.resolve(self.hub, wanted, token)).source
        return Resolved(uri=str(pinned), revision=pinned.revision)

    @asynccontextmanager
    async def bring(self, wanted: WantedAdapter, model: ModelFacts | None) -> AsyncIterator[tuple[Path, Staged]]:
        """A folder with the files and what they are, until the end of the block. Raises ArtifactError, Unfit."""
        token = await asyncio.to_thread(source.credentials, self.sources, wanted.credentials_key)
        listing = await self._listing(wanted, token)
        files = fetch.adapter_files(listing)
        fetch.check_amount(listing, files, self.store.folder, self.caps)
        with self.space.take(str(listing.source), sum(file.size for file in files)):
            room = self.store.room()  # in no thread: cancelled there, it would make a folder that nobody clears
            try:
                yield room, await self._fetch(wanted, listing, room, token, model)
            finally:
                await asyncio.shield(asyncio.to_thread(self.store.clear, room))

    async def _listing(self, wanted: WantedAdapter, token: str | None) -> Listing:
        asked = source.parse(wanted.uri)
        listing = await fetch.resolve(self.hub, asked, token)
        if asked.pinned and listing.source != asked:
            raise Unavailable(Reason.SOURCE_UNAVAILABLE, f"the hub answers {asked} with {listing.source}")
        return listing

    async def _fetch(
        self, wanted: WantedAdapter, listing: Listing, room: Path, token: str | None, model: ModelFacts | None
    ) -> Staged:
        terms = Terms(wanted.adapter, self.server, self.max_rank)
        config, weights = fetch.adapter_files(listing)
        small = await fetch.fetch(self.hub, listing, (config,), room, token, self.caps)
        parsed = await asyncio.to_thread(read_config, room / config.name)
        staged = Staged(uri=wanted.uri, revision=listing.source.revision, digest="", rank=parsed.rank, bytes=0)
        if (problem := fit_config(parsed, terms)) is not None:  # before gigabytes are fetched in vain
            raise Unfit(problem, staged)
        large = await fetch.fetch(self.hub, listing, (weights,), room, token, self.caps)
        both = fetch.Fetched(listing.source, small.files | large.files, small.bytes + large.bytes)
        staged = staged.model_copy(update={"digest": both.digest, "bytes": both.bytes})
        if wanted.sha256 is not None and wanted.sha256 != staged.digest:
            raise Unfit(other_bytes(wanted, staged), staged)
        facts = await asyncio.to_thread(inspect_adapter, room)
        if (problem := fit(facts, model, terms)) is not None:
            raise Unfit(problem, staged)
        return staged


def other_bytes(wanted: WantedAdapter, staged: Staged) -> Problem:
    """The files are not those that spec.source.sha256 insists on."""
    said = f"adapter {wanted.adapter} has the digest {staged.digest}, spec.source.sha256 insists on {wanted.sha256}"
    return Problem(reason=Reason.DIGEST_MISMATCH, message=f"{said}: change one of them", lasting=True)


def problem_of(subject: str, error: ArtifactError) -> Problem:
    """The sentence for a person: `subject` is "adapter sql-expert" or "the base model"."""
    return Problem(reason=error.reason, message=f"{subject}: {error.message}", lasting=error.lasting)
