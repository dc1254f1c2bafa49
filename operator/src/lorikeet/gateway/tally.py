"""What each worker of a gateway has taken of each quota, in memory that all of them share.

    row of a quota:   its name | worker 0: requests, tokens, at once, and when its buckets are full again | worker 1: …

Each worker writes its own columns and reads the others', so nobody waits for anybody; only who looks for a quota's row
for the first time takes a lock.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from hashlib import blake2b
from pathlib import Path

ROWS = 8192
"""Quotas that are counted together; whoever finds no row counts for itself."""
NAME = 16
CELL = 8
COLUMNS = 5


class Row:
    """One quota's numbers. Requests and tokens count up, and down again where something is given back."""

    __slots__ = ("_all", "_cells", "_mine", "_others")

    def __init__(self, cells: memoryview[float], start: int, worker: int, workers: int) -> None:
        self._cells, self._mine = cells, start + COLUMNS * worker
        self._all = tuple(start + COLUMNS * number for number in range(workers))
        self._others = tuple(at for at in self._all if at != self._mine)

    def add(self, requests: float, tokens: float, running: float) -> None:
        """We took so much, and have so many more under way."""
        cells, mine = self._cells, self._mine
        cells[mine] += requests
        cells[mine + 1] += tokens
        cells[mine + 2] += running

    def tell(self, requests: float, tokens: float) -> None:
        """When the buckets of both will be full again, on the machine's monotonic clock, as we see it."""
        self._cells[self._mine + 3], self._cells[self._mine + 4] = requests, tokens

    def full(self) -> tuple[float, float]:
        """The same, as whoever has seen most says: for one who has seen nothing yet."""
        return max(self._cells[at + 3] for at in self._all), max(self._cells[at + 4] for at in self._all)

    def others(self) -> tuple[float, float, float]:
        """What all others have taken so far, requests and tokens, and have under way."""
        cells, requests, tokens, running = self._cells, 0.0, 0.0, 0.0
        for at in self._others:
            requests += cells[at]
            tokens += cells[at + 1]
            running += cells[at + 2]
        return requests, tokens, running


class Tally:
    """The table of `workers` in the file `path`, as `worker` writes it. Raises OSError."""

    def __init__(self, path: Path, worker: int, workers: int) -> None:
        self._path, self._worker, self._workers = path, worker, workers
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, self._start(ROWS))
            self._memory = mmap.mmap(file.fileno(), self._start(ROWS))
        self._cells = memoryview(self._memory).cast("d")
        for number in range(ROWS):  # who was here before us has nothing under way any more
            self._cells[self._start(number) // CELL + COLUMNS * worker + 2] = 0.0

    def row(self, name: str) -> Row | None:
        """The row of the quota called `name`, the same for every worker; None where there is no more room."""
        key = blake2b(name.encode(), digest_size=NAME).digest()
        first = int.from_bytes(key[:8], "big")
        with self._path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)  # until it is closed
            for number in ((first + step) % ROWS for step in range(ROWS)):
                place = slice(NAME * number, NAME * (number + 1))
                if self._memory[place] in (key, bytes(NAME)):
                    self._memory[place] = key
                    return Row(self._cells, self._start(number) // CELL, self._worker, self._workers)
        return None

    def _start(self, row: int) -> int:
        """The byte at which a row's numbers begin: after all names, and the rows before it."""
        return NAME * ROWS + row * COLUMNS * CELL * self._workers
