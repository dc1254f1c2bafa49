"""Which replica: the one whose work, with this request's, is done soonest; those in doubt last.

    cost = work at the replica + this prompt's work, if the replica has not read its beginning lately
         + what it costs to bring the adapter to the GPU there

The unit is a short request. With more than a few replicas only some are compared: a home of neighbours, different for
each adapter, where it is likely on the GPU, and a few at random, where there may be less to do.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence

from lorikeet.gateway.affinity import Affinity
from lorikeet.gateway.catalog import Target
from lorikeet.gateway.outliers import Outliers
from lorikeet.gateway.residency import Held, Residency

DOUBT_SECONDS = 1.0
"""How long a row that proved wrong stands back: by then a newer status has usually come."""
FETCH = {Held.GPU: 0.0, Held.MEMORY: 2.0, Held.DISK: 8.0}
"""What bringing an adapter to the GPU costs: it may also have to wait until a slot there is free."""
HOME, ABROAD = 12, 4
"""Replicas compared: neighbours, and others."""
PROMPT_UNIT = 4096
"""Bytes of a prompt that are as much work as a short request."""


class Picker:
    """What this gateway knows by its own traffic."""

    def __init__(
        self, clock: Callable[[], float], outliers: Outliers | None = None, chance: Callable[[], float] = random.random
    ) -> None:
        self._clock, self._chance = clock, chance
        self.outliers = outliers or Outliers(clock)
        self._residency, self._affinity = Residency(), Affinity()
        self._work: defaultdict[str, float] = defaultdict(float)
        self._sequences: defaultdict[str, int] = defaultdict(int)
        self._doubts: dict[Target, float] = {}

    def pick(
        self, targets: Sequence[Target], tried: Sequence[Target] = (), size: int = 0, prefix: int = 0
    ) -> Target | None:
        """The best of `targets` that is not in `tried`, for a body of `size` bytes that begins with `prefix` (a hash).

        Rows in doubt and replicas that keep failing come last but are not left out: where all are, one of them is still
        the best guess. Ties go by `Target.turn`, which differs between adapters: an idle gateway keeps each adapter on
        one replica and spreads adapters over replicas.
        """
        if len(targets) < 2:
            return targets[0] if targets and targets[0] not in tried else None
        place = self._affinity.place(targets[0].model, prefix)
        some = [target for target in self._some(targets, place) if target not in tried]
        left = some or [target for target in targets if target not in tried]
        if len(left) < 2:
            return left[0] if left else None
        now = self._clock()
        return min(left, key=lambda target: self._rank(target, now, 0.0 if target.address == place else size))

    def doubt(self, target: Target) -> None:
        """`target` just failed before it answered: prefer others for a moment."""
        now = self._clock()
        self._doubts = {other: until for other, until in self._doubts.items() if until > now}
        self._doubts[target] = now + DOUBT_SECONDS

    def places(self, address: str) -> int:
        """How many places of the batch at `address` ours have: one for each answer."""
        return self._sequences.get(address, 0)

    def in_flight(self, target: Target, size: int = 0, prefix: int = 0, sequences: int = 1) -> InFlight:
        """One request at `target`, for so many answers, for as long as the block lasts."""
        return InFlight(self, target, sequences + size / PROMPT_UNIT, prefix, sequences)

    def begin(self, target: Target, work: float, prefix: int, sequences: int) -> None:
        """One request more at `target`."""
        address = target.address
        self._residency.used(target)
        self._affinity.read(target.model, prefix, address)
        self._work[address] += work
        self._sequences[address] += sequences

    def end(self, target: Target, work: float, sequences: int) -> None:
        """One request less."""
        address = target.address
        self._work[address] -= work
        self._sequences[address] -= sequences
        if not self._sequences[address]:
            del self._work[address], self._sequences[address]

    def _some(self, targets: Sequence[Target], place: str | None) -> Sequence[Target]:
        number = len(targets)
        if number <= HOME + ABROAD:
            return targets
        start = targets[0].turn % number
        home = [targets[(start + step) % number] for step in range(HOME)]
        there = [target for target in targets if target.address == place] if place else []
        return home + there + [targets[int(self._chance() * number)] for _ in range(ABROAD)]

    def _rank(self, target: Target, now: float, size: float) -> tuple[bool, float, int, str]:
        doubted = bool(self._doubts) and self._doubts.get(target, 0.0) > now
        cost = self._work.get(target.address, 0.0) + size / PROMPT_UNIT + FETCH[self._residency.of(target)]
        return doubted or self.outliers.out(target.address), cost, target.turn, target.pod


class InFlight:
    """A block in which one request is at a replica."""

    __slots__ = ("_picker", "_prefix", "_sequences", "_target", "_work")

    def __init__(self, picker: Picker, target: Target, work: float, prefix: int, sequences: int) -> None:
        self._picker, self._target, self._work = picker, target, work
        self._prefix, self._sequences = prefix, sequences

    def __enter__(self) -> None:
        self._picker.begin(self._target, self._work, self._prefix, self._sequences)

    def __exit__(self, *_: object) -> None:
        self._picker.end(self._target, self._work, self._sequences)
