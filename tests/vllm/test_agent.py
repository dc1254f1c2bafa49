"""The whole agent beside the real engine, and beside the simulator."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from lorikeet.engine.client import EngineClient
from lorikeet.testing.adapters import write_adapter
from lorikeet.testing.beside import beside

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    folder: Path
    adapters: Path
    inference_key: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def exited(self, seconds: float) -> bool: ...


def write_hub(folder: Path, count: int) -> Path:
    """So many adapters, a0, a1, ..., on the hub in `folder`."""
    for number in range(count):
        write_adapter(folder / f"hub/acme/a{number}/v1", seed=number)
    return folder


async def test_files_outlive_registration_however_adapters_come_and_go(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    """Three places in the engine's memory, eight adapters: answers read files again, and the engine dies without."""
    async with beside(engine, write_hub(tmp_path, 8)) as replica:
        names = sorted(replica.uris)
        over = asyncio.Event()

        async def thrash() -> set[int]:
            said = set()
            while not over.is_set():
                await asyncio.sleep(0)
                for name in await client.models():
                    said.add(await replica.ask(name))
            return said

        asking = asyncio.create_task(thrash())
        for gone in [*names, None]:
            rest = [name for name in names if name != gone]
            await replica.want(*rest)
            await replica.all_loaded(*rest)
        over.set()
        assert await asking <= {200, 404}  # 404: unloaded between the list and the question
        assert not engine.exited(0.1)
        assert {path.name[:12] for path in (engine.adapters / "store").iterdir()} >= {
            name.rpartition("@")[2] for name in await client.models()
        }


async def test_a_killed_engine_gets_its_adapters_back_without_an_operator(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    async with beside(engine, write_hub(tmp_path, 4)) as replica:
        await replica.want(*replica.uris)
        loaded = await replica.all_loaded(*replica.uris)
        before = await client.boot()
        engine.kill()
        await replica.until(lambda state: state.engine == "Unreachable")
        await asyncio.to_thread(engine.start)
        await replica.until(lambda state: state.boot not in ("", before.id))
        assert await replica.all_loaded(*replica.uris) == loaded
        assert [await replica.ask(name) for name in loaded] == [200] * 4
