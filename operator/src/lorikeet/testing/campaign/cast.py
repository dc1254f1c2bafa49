"""Who plays in a life whose answers are read: a base model, versions of adapters, and what each of them says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shutil import copytree

from lorikeet.testing.adapters import write_adapter, write_base
from lorikeet.testing.campaign.container import Runtime, simulator, vllm
from lorikeet.testing.campaign.world import SMALL, Build

QUESTIONS = ("What is a pod?", "What is LoRA?", "Who are you?")
SIMULATED = ("v1", "v2", "v3", "v4")


@dataclass(frozen=True)
class Part:
    """One version: who writes its files, and question → answer."""

    build: Build
    answers: Mapping[str, str]


@dataclass(frozen=True)
class Cast:
    """`parts` are good for any adapter; no two of them, and not the base model, share an answer."""

    runtime: Runtime
    base: Part
    parts: Sequence[Part]

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(self.base.answers)


def simulated(token_seconds: float = 0.005) -> Cast:
    """The simulator reads its answers in the weights' metadata."""
    said = {who: {question: f"{who} on {question}" for question in QUESTIONS} for who in ("base", *SIMULATED)}
    parts = [
        Part(partial(write_adapter, dimensions=SMALL, seed=seed, answers=said[who]), said[who])
        for seed, who in enumerate(SIMULATED)
    ]
    base = Part(partial(write_base, dimensions=SMALL, answers=said["base"]), said["base"])
    return Cast(simulator(token_seconds), base, parts)


def trained(python: str, models: Path, answers: Path) -> Cast:
    """The demo's models in the real vLLM of `python`; they say what `answers` taught them."""
    text = tomllib.loads(answers.read_text())
    said = {f"{voice}/{version}": lines for voice in ("pirate", "poet") for version, lines in text[voice].items()}

    def part(folder: str, lines: Sequence[str]) -> Part:
        return Part(partial(copytree, models / folder), dict(zip(text["questions"], lines, strict=True)))

    return Cast(vllm(python), part("tiny-llama", text["base"]), [part(*voice) for voice in said.items()])
