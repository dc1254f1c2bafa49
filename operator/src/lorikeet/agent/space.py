"""Room for adapters on this replica: a pod that writes more than its volume's limit is evicted, so nobody may."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.errors import Unavailable
from lorikeet.artifacts.fetch import SPARE


@dataclass
class Space:
    """The volume at `root`. `stored` says how many bytes of ours it holds, `limit` how many it may; 0: as it can."""

    root: Path
    limit: int
    stored: Callable[[], int]
    _taken: list[int] = field(default_factory=list)

    @contextmanager
    def take(self, source: str, amount: int) -> Iterator[None]:
        """Hold `amount` bytes for a fetch until the block ends. Raises Unavailable (NoSpace)."""
        free = self._free() - sum(self._taken)
        if amount > free:
            said = f"{source} has {amount} bytes, the replica has room for {max(free, 0)}"
            raise Unavailable(Reason.NO_SPACE, f"{said}: raise spec.storage.adapters or remove adapters")
        self._taken.append(amount)
        try:
            yield
        finally:
            self._taken.remove(amount)

    def _free(self) -> int:
        on_disk = shutil.disk_usage(self.root).free - SPARE
        if not self.limit:
            return on_disk
        return min(on_disk, self.limit - self.limit // 50 - self.stored())  # names and pins need room as well
