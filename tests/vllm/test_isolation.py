"""Nobody gets another adapter's answer, and no old version's, whatever is loaded, unloaded and cached meanwhile."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from lorikeet.testing.adapters import write_adapter
from lorikeet.testing.beside import Beside, beside

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CYCLES, CLIENTS = 50, 6
NAMES = ("parrot", "pirate", "poet")
PROMPTS = tuple(f"user: {asked}\nassistant:" for asked in ("What is a pod?", "What is LoRA?", "Who are you?"))
LONG = " ".join(f"Line {number}: a pod is a group of containers that share a network." for number in range(16))
TOKENS = 24


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    folder: Path
    adapters: Path
    inference_key: str

    def start(self) -> None: ...
    def kill(self) -> None: ...


def write_hub(folder: Path) -> Path:
    """Three adapters of two versions."""
    for seed, (name, revision) in enumerate(itertools.product(NAMES, ("v1", "v2"))):
        write_adapter(folder / "hub/acme" / name / revision, seed=seed)
    return folder


async def begin_anew(engine: Engine) -> None:
    """Another life: nothing is loaded, nothing is cached."""
    engine.kill()
    await asyncio.to_thread(engine.start)


async def alone(replica: Beside, name: str, prompts: tuple[str, ...]) -> dict[str, str]:
    """Prompt → answer, where the engine has no other adapter."""
    await replica.want(name)
    [model] = await replica.all_loaded(name)
    said = {prompt: await replica.complete(model, prompt, TOKENS) for prompt in prompts}
    assert {status for status, _ in said.values()} == {200}
    return {prompt: text for prompt, (_, text) in said.items()}


@dataclass
class Crowd:
    """Clients that ask for whatever is `served`, adapter → engine name, and compare. A request that is under way when
    its adapter goes may be told that it is unknown, and nothing else."""

    replica: Beside
    expected: dict[str, dict[str, str]]
    served: dict[str, str] = field(default_factory=dict)
    over: bool = False
    right: int = 0
    wrong: list[str] = field(default_factory=list)

    async def ask_on(self, turn: Iterator[int]) -> None:
        while not self.over:
            number = next(turn)
            name = NAMES[number % len(NAMES)]
            prompt = PROMPTS[number // len(NAMES) % len(PROMPTS)]
            if name in self.served:
                await self._ask(name, self.served[name], prompt)
            await asyncio.sleep(0)

    async def _ask(self, name: str, model: str, prompt: str) -> None:
        status, said = await self.replica.complete(model, prompt, TOKENS)
        if (status, said) == (200, self.expected[name][prompt]):
            self.right += 1
        elif status != 404 or self.served.get(name) == model:
            self.wrong.append(f"{model} answered {prompt!r} with {status} {said!r}")


async def test_three_adapters_come_and_go_on_two_slots_and_each_answers_as_if_it_were_alone(
    engine: Engine, tmp_path: Path
) -> None:
    """P5: fifty times one of them is unloaded and loaded under requests for all; every answer is the reference's."""
    await begin_anew(engine)
    async with beside(engine, write_hub(tmp_path)) as replica:
        crowd = Crowd(replica, {name: await alone(replica, name, PROMPTS) for name in NAMES})
        assert len({said for answers in crowd.expected.values() for said in answers.values()}) == 9
        turn = itertools.count()
        clients = [asyncio.create_task(crowd.ask_on(turn)) for _ in range(CLIENTS)]
        try:
            for gone in itertools.islice(itertools.cycle((None, *NAMES)), CYCLES + 1):
                crowd.served.pop(gone or "", None)
                for names in ([name for name in NAMES if name != gone], NAMES):
                    await replica.want(*names)
                    crowd.served = dict(zip(names, await replica.all_loaded(*names), strict=True))
        finally:
            crowd.over = True
            await asyncio.gather(*clients)
    assert crowd.wrong == []
    assert crowd.right > CYCLES


async def test_after_an_update_a_long_prompt_that_was_cached_is_answered_as_by_a_fresh_server(
    engine: Engine, tmp_path: Path
) -> None:
    """P6: prompts that share several blocks with what the old version was asked get the new version's answers."""
    prompts = tuple(f"{LONG}\n{prompt}" for prompt in PROMPTS)
    async with beside(engine, write_hub(tmp_path)) as replica:
        replica.choose("pirate", "v1")
        old = await alone(replica, "pirate", prompts)
        assert await alone(replica, "pirate", prompts) == old, "greedy answers from the cache are the same ones"
        replica.choose("pirate", "v2")
        new = await alone(replica, "pirate", prompts)
        before = await replica.until(lambda state: state.settled)
        await begin_anew(engine)
        await replica.until(lambda state: state.boot not in ("", before.boot))
        assert new == await alone(replica, "pirate", prompts)
        assert not set(new.values()) & set(old.values())
