"""`lorikeet-agent` as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp

from lorikeet.testing.adapters import write_base
from lorikeet.testing.hub import Fault, Hub, Kind
from lorikeet.testing.replica import SMALL


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
        "LORIKEET_ADAPTERS": str(folder / "adapters"),
        "LORIKEET_GUARD": str(folder / "run"),
        "LORIKEET_MODELS": str(folder / "models"),
        "LORIKEET_SERVER_KEYS": str(folder / "keys"),
        "LORIKEET_SOURCES": str(folder / "sources"),
    }
