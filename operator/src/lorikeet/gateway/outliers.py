"""Replicas that keep failing stand back, for longer each time; one request after that tells whether they are well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lorikeet.backoff import Backoff

IN_A_ROW = 3
"""Failures without an answer between them that make an outlier."""
REPLICAS = 4096
"""Addresses remembered."""
BACKOFF = Backoff(first=5.0, cap=60.0)


@dataclass(slots=True)
class _Record:
    failures: int = 0
    ejections: int = 0
    until: float = 0.0


class Outliers:
    """What requests found out about each address. An address that answers has no record."""

    def __init__(self, clock: Callable[[], float], ejected: Callable[[], None] = lambda: None) -> None:
        self._clock, self._ejected = clock, ejected
        self._records: dict[str, _Record] = {}

    def answered(self, address: str) -> None:
        """It answered, whatever."""
        if self._records:
            self._records.pop(address, None)

    def failed(self, address: str) -> None:
        """It did not answer, or not as an engine does."""
        self._forget()
        record = self._records.setdefault(address, _Record())
        record.failures += 1
        if record.failures >= IN_A_ROW and self._clock() >= record.until:
            record.ejections += 1
            record.until = self._clock() + BACKOFF.delay(record.ejections, None, 0.0)
            self._ejected()

    def out(self, address: str) -> bool:
        """Whether to ask others first."""
        record = self._records.get(address) if self._records else None
        return record is not None and record.until > self._clock()

    def _forget(self) -> None:
        """Pods come and go: of those that are not out, start anew."""
        if len(self._records) > REPLICAS:
            self._records = {address: record for address, record in self._records.items() if self.out(address)}
