"""What a process and the API server were asked for, between two moments."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete"})
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """Of one process: seconds of CPU since its start, bytes in memory now and at most."""

    cpu: float
    memory: int
    peak: int


def used(pid: int) -> Used:
    """What process `pid` has used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    memory, peak = (int(status[key].split()[0]) * 1024 for key in ("VmRSS", "VmHWM"))
    return Used((int(stat[11]) + int(stat[12])) / TICKS, memory, peak)


class Audit:
    """Reads an audit log on: what one user did since the last look."""

    def __init__(self, log: Path, user: str) -> None:
        self._log, self._user, self._at = log, user, 0

    def skip(self) -> None:
        """Count from now on."""
        self._read_on()

    def calls(self) -> Counter[str]:
        """Requests since the last look, as `verb resource[/subresource]`."""
        events = map(json.loads, self._read_on())
        return Counter(named(event) for event in events if self._is_one(event))

    def _read_on(self) -> list[bytes]:
        """The whole lines that are new; half of one waits for the rest."""
        with self._log.open("rb") as log:
            log.seek(self._at)
            data = log.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.splitlines()

    def _is_one(self, event: dict[str, Any]) -> bool:
        finished = event["stage"] == "ResponseComplete" or event["verb"] == "watch"
        return bool(event["user"]["username"] == self._user and finished)


def named(event: dict[str, Any]) -> str:
    """`patch loraadapters/status`."""
    about = event.get("objectRef", {})
    parts = [about.get("resource", event["requestURI"]), about.get("subresource", "")]
    return f"{event['verb']} {'/'.join(part for part in parts if part)}"


def writes(calls: Counter[str]) -> int:
    """How many of these were writes, the lease's renewals not counted."""
    return sum(count for name, count in calls.items() if name.split(" ")[0] in WRITES and not name.endswith("leases"))
