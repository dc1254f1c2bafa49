"""Whatever happens at any side effect, the end is the same, and nothing is wrong on the way.

`make faults` lives every plan, `make faults PLAN=<id>` one of them, and `make test` a share of each kind.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lorikeet.controller import report as told
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.campaign import plans
from lorikeet.testing.campaign.campaign import Campaign
from lorikeet.testing.campaign.plans import Plan
from lorikeet.testing.campaign.report import FAILED, OK, Outcome, write
from lorikeet.testing.campaign.world import world

AT_ONCE = int(os.environ.get("LORIKEET_FAULTS_AT_ONCE", "8"))
THREADS = 256
"""Each operator has a kopf in one of the loop's own threads; agents read and write disks in others."""
REPORTS = Path(__file__).parents[2] / "build/faults"
Choice = Callable[[list[Plan]], Sequence[Plan]]
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


async def lived(api: ApiServer, folder: Path, addresses: Iterator[str], choose: Choice) -> Sequence[Outcome]:
    threads = ThreadPoolExecutor(THREADS)
    asyncio.get_running_loop().set_default_executor(threads)
    async with world(api, folder, addresses) as found:
        campaign = Campaign(found, AT_ONCE)
        peace = await campaign.peace()
        return await campaign.run(choose(plans.every(peace.effects)), peace)


def run(api: ApiServer, folder: Path, addresses: Iterator[str], choose: Choice, reports: Path) -> Sequence[Outcome]:
    outcomes = asyncio.run(lived(api, folder, addresses, choose))
    gc.collect()  # a kopf that is stopped early leaves sockets: they are found here, and in no other test
    print(write(outcomes, reports))
    return outcomes


def failures(outcomes: Sequence[Outcome]) -> list[str]:
    return [f"{outcome.plan}: {outcome.wrong}"[:3000] for outcome in outcomes if outcome.result == FAILED]


@pytest.mark.faults
@pytest.mark.timeout(6 * 3600)
def test_every_fault_at_every_side_effect_ends_as_peace_does(
    api: ApiServer, addresses: Iterator[str], tmp_path: Path
) -> None:
    named = [Plan.parse(text) for text in os.environ.get("LORIKEET_FAULT_PLANS", "").split()]
    outcomes = run(api, tmp_path, addresses, lambda found: named or found, REPORTS)
    assert failures(outcomes) == []
    reached = sum(outcome.result == OK for outcome in outcomes)
    assert reached >= 0.9 * len(outcomes)


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_each_kind_of_fault_at_each_kind_of_side_effect_ends_as_peace_does(
    api: ApiServer, addresses: Iterator[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told, "LATER", 0.1)
    outcomes = run(api, tmp_path, addresses, plans.few, REPORTS / "few")
    assert failures(outcomes) == []
