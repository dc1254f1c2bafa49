"""One engine for the whole run, started as the operator starts it: the simulator, or the real vLLM (marker `vllm`)."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.engine import guard
from lorikeet.engine.client import EngineClient
from lorikeet.engine.flags import engine_command
from lorikeet.testing.adapters import write_base

ROOT = Path(__file__).parents[2]
START_SECONDS = 300
SPEC = ModelServerSpec.parse(
    {
        "model": {"uri": "image:///models/tiny", "name": "base"},
        "engine": {"profile": "CPU", "maxModelLen": 1024, "maxNumSeqs": 8},
        "lora": {"maxLoras": 2, "maxCpuLoras": 3, "maxRank": 16},
    }
)


@dataclass
class RunningEngine:
    """An engine process behind its guard, and what a test needs to talk to it."""

    python: str
    module: str
    model: Path
    folder: Path
    real: bool
    port: int = 0
    inference_key: str = field(default_factory=lambda: secrets.token_hex(16))
    control_token: str = field(default_factory=lambda: secrets.token_hex(16))
    env: dict[str, str] = field(default_factory=dict)  # more, from the next start on
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def adapters(self) -> Path:
        return self.folder / "adapters"

    @property
    def log(self) -> Path:
        return self.folder / "engine.log"

    def start(self) -> None:
        run = self.folder / "run"
        run.mkdir(parents=True, exist_ok=True)
        self.adapters.mkdir(exist_ok=True)
        shutil.copy(guard.__file__, run / "lorikeet_guard.py")
        (run / "inference-key").write_text(self.inference_key)
        (run / "control-token").write_text(self.control_token)
        self.port = self.port or free_port()
        command = engine_command(SPEC, str(self.model), "base", str(run))
        arguments = [*command.argv[3:], "--host", "127.0.0.1", "--port", str(self.port)]
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), **command.env, **self.env}
        env["LORIKEET_ADAPTERS_DIR"] = str(self.adapters)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", self.module, *arguments], env=env, stdout=log, stderr=log, start_new_session=True
            )
        self.wait_until_healthy()

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the engine did not start; its log ends:\n{self.log.read_text()[-3000:]}")

    def exited(self, seconds: float) -> bool:
        """Whether the process ends by itself within `seconds`."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stall(self) -> None:
        """Stop the engine's loop and leave its HTTP server running."""
        os.kill(*((self.core(), signal.SIGSTOP) if self.real else (self.pid, signal.SIGUSR1)))

    def resume(self) -> None:
        os.kill(*((self.core(), signal.SIGCONT) if self.real else (self.pid, signal.SIGUSR2)))

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def core(self) -> int:
        """The pid of vLLM's EngineCore, a child that names itself."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"EngineCore" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return int(child)
        raise RuntimeError("the engine has no child that is called EngineCore")

    def kill(self) -> None:
        """SIGKILL to all of it."""
        os.killpg(self.pid, signal.SIGKILL)
        assert self.exited(15)

    def stop(self) -> None:
        if self.process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self.process.pid, number)
                    self.process.wait(15)
                    break
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            self.process = None


@pytest.fixture(scope="session", params=["simulator", pytest.param("vllm", marks=pytest.mark.vllm)])
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    running: RunningEngine = request.getfixturevalue(f"{'simulated' if request.param == 'simulator' else 'real'}_vllm")
    return running


@pytest.fixture(scope="session")
def simulated_vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    folder = tmp_path_factory.mktemp("simulator")
    base = write_base(folder / "base")
    yield from run(RunningEngine(sys.executable, "lorikeet.testing.engine", base, folder, real=False))


@pytest.fixture(scope="session")
def vllm_python() -> str:
    """The Python that the real vLLM runs in. LORIKEET_VLLM_PYTHON tests another vLLM."""
    return os.environ.get("LORIKEET_VLLM_PYTHON") or printed(str(ROOT / "images/engine-cpu/venv")) + "/bin/python"


@pytest.fixture(scope="session")
def real_vllm(vllm_python: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    """Up in about 25 s on two idle cores; several times that on busy ones."""
    folder = tmp_path_factory.mktemp("vllm")
    module = "vllm.entrypoints.openai.api_server"
    yield from run(RunningEngine(vllm_python, module, models / "tiny-llama", folder, real=True))


def run(engine: RunningEngine) -> Iterator[RunningEngine]:
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="session")
def models() -> Path:
    """The demo's trained models. Made at the first use: minutes on a cold cache, with progress on stderr."""
    return Path(printed(str(ROOT / "models/train")))


def printed(command: str) -> str:
    return subprocess.run([command], check=True, stdout=subprocess.PIPE, text=True, timeout=1200).stdout.strip()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield session


@pytest.fixture
async def client(engine: RunningEngine, http: aiohttp.ClientSession) -> AsyncIterator[EngineClient]:
    """The product's client; afterwards the engine has no adapters."""
    made = EngineClient(http, engine.url, engine.control_token)
    yield made
    for name in await made.models():
        await made.unload(name)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
