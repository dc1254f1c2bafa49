"""Which adapters a replica's GPU and memory hold now: an estimate, by the order of our own requests.

vLLM keeps the adapters last used in `max_loras` slots on the GPU and in `max_cpu_loras` in memory, and says neither.
Other gateways' requests are not seen here; they come in the same proportions, because each picks by the same rules.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum

from lorikeet.gateway.catalog import Target

GONE = 1024
"""Adapters of one replica remembered as on its disk alone."""
REPLICAS = 4096
"""Addresses remembered: pods come and go."""


class Held(IntEnum):
    """Where a replica has an adapter, the nearest first."""

    GPU = 0
    MEMORY = 1
    DISK = 2


class Residency:
    """For each address, what was last asked of it, in that order."""

    def __init__(self) -> None:
        self._replicas: OrderedDict[str, _Lru] = OrderedDict()

    def used(self, target: Target) -> None:
        """A request for `target` is on its way: what it asks for comes nearest."""
        if target.is_base:
            return
        lru = self._replicas.get(target.address)
        if lru is None:
            lru = self._replicas[target.address] = _Lru()
            if len(self._replicas) > REPLICAS:
                self._replicas.popitem(last=False)
        lru.used(target.model, target.gpu, target.memory)

    def of(self, target: Target) -> Held:
        """Where `target` has what it would be asked for."""
        if target.is_base or not target.gpu:
            return Held.GPU
        lru = self._replicas.get(target.address)
        return Held.MEMORY if lru is None else lru.of(target.model)


class _Lru:
    """One replica's adapters: the GPU's slots, and behind them the memory's; the last used stand last."""

    def __init__(self) -> None:
        self._gpu: OrderedDict[str, None] = OrderedDict()
        self._memory: OrderedDict[str, None] = OrderedDict()
        self._gone: OrderedDict[str, None] = OrderedDict()

    def used(self, model: str, gpu: int, memory: int) -> None:
        self._memory.pop(model, None)
        self._gone.pop(model, None)
        self._gpu[model] = None
        self._gpu.move_to_end(model)
        while len(self._gpu) > gpu > 0:
            self._memory[self._gpu.popitem(last=False)[0]] = None
        while len(self._memory) > max(memory - gpu, 0):
            self._gone[self._memory.popitem(last=False)[0]] = None
        while len(self._gone) > GONE:
            self._gone.popitem(last=False)

    def of(self, model: str) -> Held:
        if model in self._gpu:
            return Held.GPU
        # Loading puts an adapter into memory: one that was not seen to leave it since it came is there.
        return Held.DISK if model in self._gone else Held.MEMORY
