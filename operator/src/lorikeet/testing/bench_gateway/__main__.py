"""`python3 -m lorikeet.testing.bench_gateway`."""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from lorikeet.testing.apiserver.process import free_ports
from lorikeet.testing.bench.meter import used
from lorikeet.testing.bench_gateway.load import Load, request, run
from lorikeet.testing.bench_gateway.nginx import nginx_command
from lorikeet.testing.bench_gateway.subject import KEY

ROOM = "lorikeet.testing.bench_gateway"
TITLE = """# What a request costs a gateway

Microseconds of CPU, by /proc, of one process on one core: median (least-most) of a few rounds in turns. Ours with keys,
quotas by key and tenant, routing over 1,000 adapters, the model's name exchanged both ways, and metrics; nginx relays.
Compare rows, not numbers: on a busy machine all of them grow together. Written by `make bench-gateway`.
"""
Row = tuple[str, bytes, int, int, str]


def rows(scale: float) -> list[Row]:
    """What is asked: a name, the request, how often, over how many connections, and what is divided by."""
    return [
        ("request", request("sql", KEY), int(20_000 * scale), 32, "replies"),
        ("chunk", request("sql", KEY, stream=True), int(300 * scale), 100, "events"),
        ("225 KB prompt", request("sql", KEY, 225_000), int(1_500 * scale), 16, "replies"),
    ]


def main() -> None:
    """Measure, and write or print the table."""
    words = argparse.ArgumentParser(prog=ROOM)
    words.add_argument("--out", type=Path, help="a folder for gateway.json and gateway.md; default: print")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--scale", type=float, default=1.0)
    also = "NAME=COMMAND of another gateway, which is given its port and the engine's; may be repeated"
    words.add_argument("--also", action="append", default=[], help=also)
    asked = words.parse_args()
    measured = uvloop.run(measure(asked.rounds, asked.scale, asked.also))
    table = page(measured)
    print(table)
    if asked.out:
        (asked.out / "gateway.json").write_text(json.dumps(measured, indent=1) + "\n")
        (asked.out / "gateway.md").write_text(table)


async def measure(rounds: int, scale: float, also: Sequence[str]) -> dict[str, dict[str, list[float]]]:
    """CPU microseconds of each subject for each row, a number for each round; in turns."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory()))
        (port,) = free_ports(1)
        opened.enter_context(process([sys.executable, "-m", f"{ROOM}.engine", str(port)], port, 1))
        subjects = {name: opened.enter_context(made) for name, made in subjects_of(folder, port, also)}
        told: dict[str, dict[str, list[float]]] = {name: {} for name in subjects}
        for _ in range(rounds):
            for row, message, number, connections, what in rows(scale):
                for name, (pid, at) in subjects.items():
                    load = Load(message, number)
                    before = used(pid)
                    await run(load, at, connections)
                    after = used(pid)
                    if load.errors or load.replies != number:
                        raise RuntimeError(f"{name}, {row}: {load.replies} of {number} replies, {load.wrong}")
                    units = load.events if what == "events" else load.replies
                    told[name].setdefault(row, []).append((after.cpu - before.cpu) / units * 1e6)
                    told[name].setdefault("memory MB", []).append(after.memory / 2**20)
        return told


def subjects_of(
    folder: Path, port: int, also: Sequence[str]
) -> Iterator[tuple[str, AbstractContextManager[tuple[int, int]]]]:
    """Each subject: its process and its port."""
    ports = free_ports(2 + len(also))
    ours = [sys.executable, "-m", f"{ROOM}.subject", str(ports[0]), str(port)]
    yield "lorikeet", process(ours, ports[0], 0)
    for free, other in zip(ports[2:], also, strict=True):
        name, _, command = other.partition("=")
        yield name, process([*command.split(), str(free), str(port)], free, 0)
    if shutil.which("nginx"):
        yield "nginx", process(nginx_command(folder, ports[1], port), ports[1], 0, child=True)


@contextmanager
def process(command: list[str], port: int, core: int, *, child: bool = False) -> Iterator[tuple[int, int]]:
    """A process on one core, once its port answers: the pid that works, and the port."""
    pinned = ["taskset", "-c", str(core), *command]
    with subprocess.Popen(pinned) as started:  # noqa: S603 - ours
        try:
            wait_for(port)
            yield (worker_of(started.pid) if child else started.pid), port
        finally:
            started.terminate()


def worker_of(pid: int) -> int:
    """The one child of a process that only looks after it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


def page(measured: dict[str, dict[str, list[float]]]) -> str:
    """A table of medians and, in brackets, the least and the most."""
    names = list(next(iter(measured.values())))
    lines = [TITLE, "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for subject, numbers in measured.items():
        cells = (f"{statistics.median(each):.1f} ({min(each):.1f}–{max(each):.1f})" for each in numbers.values())
        lines.append(f"| {subject} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
