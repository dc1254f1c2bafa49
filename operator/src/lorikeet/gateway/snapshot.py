"""The last good table on disk: a gateway that restarts while the API server is away serves by it.

Written whole, beside the old one and then in its place, so that a reader finds one or the other. A table is good for an
hour: addresses of pods are given to others in time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.rows import AdapterRow, Row, ServerRow

log = logging.getLogger(__name__)

FORMAT = 1
GOOD_FOR = 3600.0
"""Seconds for which a table that nobody confirmed may route."""
PAUSE = 1.0
"""Seconds between looks for something new to write."""
CONFIRM = 60.0
"""Seconds after which an unchanged table is written again: it was true until now."""


class Snapshot:
    """One file. `restore` at the start, `keep` for as long as the process runs."""

    def __init__(self, path: Path, catalog: Catalog, keys: Keys, clock: Callable[[], float] = time.time) -> None:
        self._path, self._catalog, self._keys, self._clock = path, catalog, keys, clock

    def restore(self) -> bool:
        """Fill the catalog. Whether there was a table to fill it with; a file that cannot be read is none."""
        try:
            table = orjson.loads(self._path.read_bytes())
            age = self._clock() - table["at"]
            if table["format"] != FORMAT or not -GOOD_FOR < age < GOOD_FOR:
                log.info("%s is %.0f s old, or another version's: not used", self._path, age)
                return False
            rows: list[Row] = [ServerRow.load(row) for row in table["servers"]]
            rows += [AdapterRow.load(row) for row in table["adapters"]]
            secrets = {str(name): dict(data) for name, data in table["keys"].items()}
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s is no table of ours, not used: %r", self._path, error)
            return False
        for row in rows:
            self._catalog.put(row)
        for name, data in secrets.items():
            self._keys.put(name, data)
        return True

    async def keep(self, good: Callable[[], bool]) -> None:
        """Write what is new while the table is `good`. Ends when cancelled."""
        written, at = (-1, -1), 0.0
        while True:
            version, now = (self._catalog.version, self._keys.version), self._clock()
            if good() and (version != written or abs(now - at) >= CONFIRM):
                try:
                    await asyncio.to_thread(self.write, self.table())
                except OSError as error:
                    log.warning("cannot write %s: %s", self._path, error)
                written, at = version, now
            await asyncio.sleep(PAUSE)

    def table(self) -> bytes:
        """Everything that routes, and the keys' digests."""
        servers, adapters = self._catalog.rows()
        head = {"format": FORMAT, "at": self._clock(), "keys": self._keys.dump()}
        return orjson.dumps({**head, "servers": servers, "adapters": adapters}, default=list)

    def write(self, table: bytes) -> None:
        """Put `table` in the file's place."""
        beside = self._path.with_suffix(".new")
        beside.touch(mode=0o600)
        beside.write_bytes(table)
        beside.replace(self._path)
