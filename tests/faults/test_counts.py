"""How many calls a dozen adapters cost on two replicas, and that rest costs none: counts, never times."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from lorikeet.controller import links
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.campaign.effects import OPERATOR, Ledger
from lorikeet.testing.campaign.life import Life, life
from lorikeet.testing.campaign.world import Version, World, world

MANY = 12
POLLS = 4
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
async def place(api: ApiServer, addresses: Iterator[str], tmp_path: Path) -> AsyncIterator[World]:
    async with world(api, tmp_path, addresses) as found:
        yield found


async def served(found: Life, stack: AsyncExitStack, versions: list[Version]) -> None:
    await found.two_replicas(stack)
    await found.serve()
    found.ledger.counts.clear()
    for version in versions:
        await found.create(version)
    await found.serve(*versions)


def made(found: Life) -> Counter[tuple[str, str]]:
    """Who did what how often, whatever it was done to."""
    total: Counter[tuple[str, str]] = Counter()
    for (who, verb, _), count in found.ledger.counts.items():
        total[who, verb] += count
    return total


async def test_a_dozen_adapters_cost_one_load_on_each_replica_and_a_write_for_each_news(place: World) -> None:
    """How much comes together in one write depends on the machine: of what happens on a replica, two things at most are
    told apart, though four happen; and so are the beginning and the end."""
    versions = [place.publish(f"ad-{number}") for number in range(MANY)]
    async with life(place, Ledger()) as (found, stack):
        await served(found, stack, versions)
        calls = found.ledger.counts
        for version in versions:
            assert calls[OPERATOR, "tell", f"loraadapters/{version.adapter}"] <= 2 + 2 * len(found.pods)
            for pod in found.pods:
                assert calls[pod, "load", version.engine_name] == 1
                assert calls[pod, "ask-hub", f"acme/{version.adapter}"] == 1
        total = made(found)
        assert total[OPERATOR, "resolve"] == 0
        for pod in found.pods:
            assert total[pod, "list"] <= 2 * MANY
            assert calls[OPERATOR, "push", pod] <= MANY + 1


async def test_rest_costs_the_lease_and_polls(place: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "POLL_WAIT", 0.5)
    versions = [place.publish(f"ad-{number}") for number in range(MANY)]
    async with life(place, Ledger()) as (found, stack):
        await served(found, stack, versions)
        await polled(found)  # what was still to be told is told
        found.ledger.counts.clear()
        await polled(found)
        left = {(who, verb) for who, verb in made(found) if verb != "list"}
        assert left <= {(OPERATOR, "update")}


async def polled(found: Life) -> None:
    """Return once each agent was asked some times more."""
    before = {name: pod.polls for name, pod in found.pods.items()}
    async with asyncio.timeout(60):
        while any(pod.polls < before[name] + POLLS for name, pod in found.pods.items()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
