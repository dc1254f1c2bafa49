"""Live in peace, then again with each plan's fault, and say what became of it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lorikeet.testing.campaign.effects import Effect, Ledger, Name
from lorikeet.testing.campaign.invariants import unbounded
from lorikeet.testing.campaign.life import Life, Stuck, difference, life
from lorikeet.testing.campaign.plans import Plan, slowest_first
from lorikeet.testing.campaign.report import FAILED, NOT_REACHED, OK, Outcome
from lorikeet.testing.campaign.world import World

log = logging.getLogger(__name__)
STILL, TRIES = 1.0, 3
"""Seconds, and so many lives at most."""


@dataclass(frozen=True)
class Peace:
    """What a life without a fault comes to."""

    left: list[Any]
    effects: tuple[Effect, ...]
    counts: Counter[Name]


class Restless(AssertionError):
    """Lives in peace went wrong, or not alike: no plan can be judged by them."""


class Campaign:
    """Lives many lives on one world, `at_once` side by side."""

    def __init__(self, world: World, at_once: int) -> None:
        self._world, self._room = world, asyncio.Semaphore(at_once)

    async def peace(self) -> Peace:
        """Two lives without a fault, which must end alike. Raises Restless."""
        one = await self._peaceful()
        two = await self._peaceful()
        if wrong := difference(one.left, two.left):
            raise Restless(f"two lives in peace end differently: {wrong}")
        effects = tuple(dict.fromkeys([*one.effects, *two.effects]))
        return Peace(one.left, effects, one.counts | two.counts)

    async def run(self, plans: Iterable[Plan], peace: Peace) -> Sequence[Outcome]:
        """Live each plan."""
        return await asyncio.gather(*(self._one(plan, peace) for plan in slowest_first(plans)))

    async def _peaceful(self) -> Peace:
        for _ in range(TRIES):
            ledger = Ledger()
            async with stillness() as still:
                left, wrong, _ = await self._lived(ledger)
            if not wrong or still.longest < STILL:
                break
        if wrong:
            raise Restless(f"a life in peace went wrong: {wrong}")
        return Peace(left, tuple(ledger.had), ledger.counts)

    async def _one(self, plan: Plan, peace: Peace) -> Outcome:
        """A machine that stood still is a fault that no plan asked for: what went wrong then is lived again."""
        async with self._room:
            for _ in range(TRIES):
                began = time.monotonic()
                async with stillness() as still:
                    outcome = await self._judged(plan, peace, began)
                if outcome.result != FAILED or still.longest < STILL:
                    break
                log.warning("%s: the machine stood still for %.1f s, once more", plan, still.longest)
        log.info("%s: %s after %.1f s %s", plan, outcome.result, outcome.seconds, outcome.wrong or "")
        return outcome

    async def _judged(self, plan: Plan, peace: Peace, began: float) -> Outcome:
        ledger = Ledger(plan.effect, plan.fault)
        try:
            _, wrong, samples = await self._lived(ledger, peace.left)
        except Exception as error:  # one life's, and no other's
            log.exception("%s: the life broke off", plan)
            wrong, samples = [f"the life broke off: {error!r}"], 0
        wrong += unbounded(ledger.counts, peace.counts)
        result = FAILED if wrong else OK if ledger.struck else NOT_REACHED
        return Outcome(plan, result, tuple(wrong), time.monotonic() - began, samples)

    async def _lived(self, ledger: Ledger, expected: list[Any] | None = None) -> tuple[list[Any], list[str], int]:
        """What is left of a life, what was wrong with it, and how often it was looked at."""
        async with life(self._world, ledger, expected) as (found, stack):
            try:
                left = await found.live(stack)
            except Stuck as error:
                return [], [str(error), *found.watcher.wrong], found.watcher.samples
            return left, [*broken(found), *found.watcher.wrong], found.watcher.samples


def broken(found: Life) -> list[str]:
    """Parts of the life's own machinery that ended early: then nothing it says counts."""
    return [f"{task.get_name()} ended: {task.exception()!r}" for task in found.running if task.done()]


@dataclass
class Stillness:
    """How long this process could not run, at worst, in seconds."""

    longest: float = 0.0

    async def watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.longest = max(self.longest, time.monotonic() - before - 0.05)


@asynccontextmanager
async def stillness() -> AsyncIterator[Stillness]:
    """Watches as long as the block lasts."""
    found = Stillness()
    watching = asyncio.create_task(found.watch())
    try:
        yield found
    finally:
        watching.cancel()
