"""The trained models through the real vLLM: each question has the words it was taught, in every voice and version."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from lorikeet.engine.client import EngineClient
from lorikeet.testing.adapters import TINY, llama_config

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]

TEXT: dict[str, Any] = tomllib.loads((Path(__file__).parents[2] / "models/answers.toml").read_text())
VOICES = {f"{name}/{version}": said for name in ("pirate", "poet") for version, said in TEXT[name].items()}


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    adapters: Path
    inference_key: str


@pytest.fixture(scope="session")
def engine(real_vllm: Engine, models: Path) -> Engine:
    """The real vLLM with all adapters where it may read them."""
    for voice in VOICES:
        target = real_vllm.adapters / "demo" / voice
        target.mkdir(parents=True, exist_ok=True)
        for file in (models / voice).iterdir():
            (target / file.name).write_bytes(file.read_bytes())
    return real_vllm


async def answers(engine: Engine, http: aiohttp.ClientSession, model: str) -> list[str]:
    said = []
    for question in TEXT["questions"]:
        body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
        headers = {"Authorization": f"Bearer {engine.inference_key}"}
        async with http.post(f"{engine.url}/v1/chat/completions", json=body, headers=headers) as response:
            assert response.status == 200, await response.text()
            said.append((await response.json())["choices"][0]["message"]["content"])
    return said


async def test_the_base_model_says_what_it_was_taught(engine: Engine, http: aiohttp.ClientSession) -> None:
    assert await answers(engine, http, "base") == TEXT["base"]


@pytest.mark.parametrize("voice", VOICES)
async def test_each_adapter_says_what_it_was_taught(
    voice: str, engine: Engine, client: EngineClient, http: aiohttp.ClientSession
) -> None:
    name = voice.replace("/", "@")
    await client.load(name, str(engine.adapters / "demo" / voice))
    assert await answers(engine, http, name) == VOICES[voice]


def test_no_two_voices_share_an_answer() -> None:
    said = [line for lines in (TEXT["base"], *VOICES.values()) for line in lines]
    assert len(set(said)) == len(said) == 5 * len(TEXT["questions"])


def test_the_builders_make_adapters_for_this_very_model(models: Path) -> None:
    config = json.loads((models / "tiny-llama/config.json").read_text())
    assert {name: config[name] for name in llama_config(TINY)} == llama_config(TINY)
