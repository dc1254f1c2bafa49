"""One gateway's process, which may end in any way and start again on the same ports."""

from __future__ import annotations

import asyncio
import json
import random
import re
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorikeet.testing.apiserver.process import Process

PATIENCE = 60.0
"""Seconds for whatever must come: machines are shared with builds."""
ROOT_KEY = "k" * 64
KEY_SECRET = "lorikeet-api-keys"  # noqa: S105 - a Secret's name


class GatewayProcess:
    """`folder` keeps its root key, its log and its table; `settings` are LORIKEET_ variables without that."""

    def __init__(self, kubeconfig: Path, folder: Path, namespace: str = "default", **settings: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.log = folder, folder / "gateway.log"
        self.port, self.admin = lasting_ports(2)
        key = folder / "root-key"
        key.write_text(ROOT_KEY)
        told = {
            "ROOT_KEY_FILE": key,
            "STATE_DIR": folder,
            "HOST": "127.0.0.1",
            "PORT": self.port,
            "ADMIN_PORT": self.admin,
            "LINGER_SECONDS": 1,
            "NAMESPACE": namespace,
            "NAMESPACES": namespace,
            **settings,
        }
        self._environment = {"KUBECONFIG": kubeconfig, **{f"LORIKEET_{name}": value for name, value in told.items()}}
        self._process: Process | None = None

    def start(self) -> None:
        """A new life. It ends with the thread that calls this."""
        named = [f"{name}={value}" for name, value in self._environment.items()]
        command = ["env", *named, sys.executable, "-m", "lorikeet.gateway.main"]
        self._process = Process("gateway", command, self.log)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._running.kill()

    async def stop(self) -> None:
        """End it as a kubelet does: SIGTERM, and wait."""
        await asyncio.to_thread(self._running.stop, PATIENCE)

    @property
    def pid(self) -> int:
        """Of this life."""
        return self._running.pid

    @property
    def workers(self) -> list[int]:
        """The processes that it looks after."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def listening(self, workers: int) -> bool:
        """Whether so many workers, those that were killed too, have begun to listen."""
        return self.log.read_text().count("serving on port") == workers

    @property
    def most_memory(self) -> int:
        """Bytes that were resident at most, in this life."""
        return status_bytes(self.pid, "VmHWM")

    def ready(self) -> bool:
        """As a kubelet asks."""
        return call(f"http://127.0.0.1:{self.admin}/readyz")[0] == 200

    def ask(self, model: str, key: str = "", **fields: Any) -> int:
        """The status of one request on a connection of its own; 0 where nobody answers."""
        return call(f"http://127.0.0.1:{self.port}/v1/completions", {"model": model, "prompt": "", **fields}, key)[0]

    def answers(self, status: int, model: str, key: str) -> bool:
        """Whether it answers so now."""
        return self.ask(model, key) == status

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("start it first")
        return self._process


@contextmanager
def running(*gateways: GatewayProcess) -> Iterator[tuple[GatewayProcess, ...]]:
    """All of them started, and killed in the end."""
    for gateway in gateways:
        gateway.start()
    try:
        yield gateways
    finally:
        for gateway in gateways:
            gateway.kill()


async def until(happens: Callable[[], bool], seconds: float = PATIENCE, pause: float = 0.05) -> None:
    """Wait for what nobody tells, asking in a thread. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await asyncio.to_thread(happens):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(pause)


def call(url: str, body: dict[str, Any] | None = None, key: str = "", timeout: float = 30.0) -> tuple[int, str]:
    """A plain question: the status and what was said; (0, "") where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def status_bytes(pid: int, field: str) -> int:
    """A field of /proc/PID/status that is an amount of memory."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise LookupError(f"process {pid} has no {field}")
    return int(found[1]) * 1024


def lasting_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on, and that no outgoing connection takes while their listener is away."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(10_000, lowest)  # noqa: S311
        with socket.socket() as asked:
            try:
                asked.bind(("127.0.0.1", port))
            except OSError:
                continue
        found += [port] if port not in found else []
    return found
