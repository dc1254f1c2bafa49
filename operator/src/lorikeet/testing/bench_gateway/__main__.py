"""`python3 -m lorikeet.testing.bench_gateway`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import uvloop

from lorikeet.testing.apiserver.process import free_ports
from lorikeet.testing.bench_gateway.page import draw, table
from lorikeet.testing.bench_gateway.peers import MAKE, Peer, peers
from lorikeet.testing.bench_gateway.rows import FAILED, HARD, ROWS, Measured, Subject

ROOM = "lorikeet.testing.bench_gateway"
FILES = 65536
"""Open at once, for thousands of streams."""
PATIENCE = 180
"""Seconds for one row of one gateway."""


def main() -> None:
    """Measure, and write or print the table."""
    words = argparse.ArgumentParser(prog=ROOM)
    words.add_argument("--out", type=Path, help="a folder for gateway.json, .md and .svg; default: print the table")
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--scale", type=float, default=1.0, help="of the numbers of requests and streams")
    words.add_argument("--beside", default=",".join(MAKE), help=f"others to measure: of {', '.join(MAKE)}")
    words.add_argument("--rows", default=",".join(ROWS), help=f"of {', '.join(ROWS)}")
    asked = words.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    cache = Path(os.environ.get("LORIKEET_CACHE") or Path.home() / ".cache/lorikeet")
    beside = list(peers(cache, [name for name in asked.beside.split(",") if name]))
    load = os.getloadavg()[0]
    rows = [name for name in ROWS if name in asked.rows.split(",")]
    measured = {
        "load": load,
        "python": platform.python_version(),
        "subjects": uvloop.run(measure(beside, rows, asked.rounds, asked.scale)),
    }
    page = table(measured)
    print(page)
    if asked.out:
        (asked.out / "gateway.json").write_text(json.dumps(measured, indent=1) + "\n")
        (asked.out / "gateway.md").write_text(page)
        draw(measured, asked.out / "gateway.svg")


async def measure(beside: list[Peer], rows: list[str], rounds: int, scale: float) -> dict[str, dict[str, Measured]]:
    """What each subject did in each row, a number for each round; in turns."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(TemporaryDirectory()))
        engine, ours, *others = free_ports(2 + len(beside))
        opened.enter_context(process([sys.executable, "-m", f"{ROOM}.engine", str(engine)], engine, 1))
        command = [sys.executable, "-m", f"{ROOM}.subject", str(ours), str(engine)]
        subjects = {"lorikeet": Subject(opened.enter_context(process(command, ours, 0)), ours, 1.0)}
        for peer, port in zip(beside, others, strict=True):
            (folder / peer.name).mkdir()
            command = peer.command(folder / peer.name, port, engine)
            pid = opened.enter_context(process(command, port, 0, child=peer.child))
            subjects[peer.name] = Subject(pid, port, peer.share)
        told: dict[str, dict[str, Measured]] = {name: {} for name in subjects}
        for number in range(rounds):
            for row in rows:
                print(f"round {number + 1} of {rounds}: {row}", file=sys.stderr)
                for name, subject in subjects.items():
                    await _add(told[name].setdefault(row, {}), row, subject, engine, scale)
        for row, found in told["lorikeet"].items():
            if failed := found.get(FAILED):
                raise RuntimeError(f"{row}: {failed}")
        return told


async def _add(found: Measured, row: str, subject: Subject, engine: int, scale: float) -> None:
    """One more round of one row; not of one that the subject could not do, or is too slow for."""
    if subject.share < 1 and row in HARD:
        found[FAILED] = "not tried"
    if FAILED in found:
        return
    try:
        async with asyncio.timeout(PATIENCE):
            new = await ROWS[row](subject, Subject(0, engine, 1.0), scale)
    except TimeoutError:
        found[FAILED] = f"did not end in {PATIENCE} s"
    except (RuntimeError, OSError) as error:
        found[FAILED] = str(error)[:80]
    else:
        for what, value in new.items():
            numbers = found.setdefault(what, [])
            assert isinstance(numbers, list)
            numbers.append(value)


@contextmanager
def process(command: list[str], port: int, core: int, *, child: bool = False) -> Iterator[int]:
    """A process on one core, once its port answers: the pid that works."""
    pinned = ["taskset", "-c", str(core), *command]
    quiet = None if command[0] == sys.executable else subprocess.DEVNULL
    with subprocess.Popen(pinned, stdout=quiet, stderr=quiet) as started:  # noqa: S603 - ours
        try:
            wait_for(port)
            yield worker_of(started.pid) if child else started.pid
        finally:
            started.terminate()


def worker_of(pid: int) -> int:
    """The one child of a process that only looks after it."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def wait_for(port: int) -> None:
    """Until somebody listens there."""
    until = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return


if __name__ == "__main__":
    main()
