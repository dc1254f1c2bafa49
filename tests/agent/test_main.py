"""`lorikeet-agent` as a process."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.artifacts.digest import content_digest, file_sha256
from lorikeet.testing.adapters import write_adapter, write_base
from lorikeet.testing.hub import Fault, Hub, Kind
from lorikeet.testing.hub.repos import Repos
from lorikeet.testing.replica import SMALL, eventually

pytestmark = pytest.mark.slow


async def test_it_starts_from_its_environment_and_ends_at_once_even_in_the_middle_of_a_fetch(tmp_path: Path) -> None:
    write_base(tmp_path / "hub/acme/base/v1", dimensions=SMALL)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/agent-token").write_text("sesame-of-the-agent")
    (tmp_path / "keys/inference-key").write_text("sesame-of-inference")
    async with Hub(tmp_path / "hub") as hub:
        hub.faults.append(Fault(Kind.HANG, "GET .*safetensors", times=99))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from lorikeet.agent.main import main; main()"),
            env=os.environ | environment(tmp_path, hub.url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        log = b""
        async with asyncio.timeout(30):
            assert process.stdout is not None
            while b"fetch the base model" not in log:
                line = await process.stdout.readline()
                assert line, log
                log += line
            url = next(word for word in log.decode().split() if word.startswith("http://127.0.0.1:"))
            async with aiohttp.ClientSession() as http, http.get(f"{url}/startupz") as reply:
                assert reply.status == 503
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(3):
            log += await process.stdout.read()
            assert await process.wait() == 0
    assert b"stopping; the engine keeps its adapters" in log
    assert b"sesame" not in log
    assert (tmp_path / "run/control-token").read_bytes() not in log


async def test_killed_in_the_middle_of_a_download_it_leaves_nothing_half_and_the_next_life_ends_what_it_began(
    tmp_path: Path,
) -> None:
    write_base(tmp_path / "hub/acme/base/v1", dimensions=SMALL)
    write_adapter(tmp_path / "hub/acme/pirate/v1", dimensions=SMALL)
    commit = Repos(tmp_path / "hub").revision("acme/pirate", "v1", None).commit
    wanted = Wanted(adapters=(WantedAdapter(adapter="pirate", uri=f"hf://acme/pirate@{commit}"),))
    (tmp_path / "keys").mkdir()
    for name in ("agent-token", "inference-key"):
        (tmp_path / "keys" / name).write_text("sesame")
    async with Hub(tmp_path / "hub") as hub, aiohttp.ClientSession(headers={"Authorization": "Bearer sesame"}) as http:
        async with life(tmp_path, hub.url, "base model .*: ready") as (url, killed):
            hub.faults.append(Fault(Kind.DRIP, "GET .*safetensors", pause=0.05))
            async with http.put(f"{url}/v1/wanted", json=wanted.dump()) as reply:
                assert reply.status == 200
            await eventually(lambda: any((tmp_path / "adapters/incoming").rglob("*.safetensors")))
        assert killed.returncode == -signal.SIGKILL
        assert list((tmp_path / "adapters/store").iterdir()) == []
        async with life(tmp_path, hub.url, "fetch pirate .*: done"):
            (folder,) = (tmp_path / "adapters/store").iterdir()
            assert content_digest({path.name: file_sha256(path) for path in folder.iterdir()}) == folder.name
            await eventually(lambda: list((tmp_path / "adapters/incoming").iterdir()) == [])


@asynccontextmanager
async def life(folder: Path, hub: str, said: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """One life of an agent from when its log says that, until it is killed in the middle of what it does; its URL."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from lorikeet.agent.main import main; main()"),
        env=os.environ | environment(folder, hub),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    log = ""
    try:
        async with asyncio.timeout(100):
            while not re.search(said, log):
                line = await process.stdout.readline()
                assert line, log
                log += line.decode()
        yield next(word for word in log.split() if word.startswith("http://127.0.0.1:")), process
    finally:
        process.kill()
        await process.communicate()


async def test_it_says_which_setting_is_missing() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from lorikeet.agent.main import main; main()"),
        env={name: value for name, value in os.environ.items() if not name.startswith("LORIKEET_")},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 1
    assert said.decode().strip() == "lorikeet-agent: the environment has no LORIKEET_SERVER"


def environment(folder: Path, hub: str) -> dict[str, str]:
    return {
        "LORIKEET_SERVER": "qwen",
        "LORIKEET_NAMESPACE": "default",
        "LORIKEET_POD": "qwen-0",
        "LORIKEET_MODEL_URI": "hf://acme/base",
        "LORIKEET_MAX_RANK": "16",
        "LORIKEET_HUB_ENDPOINT": hub,
        "LORIKEET_AGENT_PORT": "0",
        "LORIKEET_ENGINE_URL": "http://127.0.0.1:9",  # nobody is there
        "LORIKEET_ADAPTERS": str(folder / "adapters"),
        "LORIKEET_GUARD": str(folder / "run"),
        "LORIKEET_MODELS": str(folder / "models"),
        "LORIKEET_SERVER_KEYS": str(folder / "keys"),
        "LORIKEET_SOURCES": str(folder / "sources"),
    }
