"""Makes adapters resident before their users come: one token of each, at each replica that has it.

vLLM brings an adapter to the GPU with its first request, whose user waits for that. One at a time for each replica,
because a load stops the engine's loop; replicas side by side.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lorikeet.gateway.catalog import Catalog, Target
from lorikeet.gateway.forward import Forwarder, Passed
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.upstream import UpstreamError

PATH = b"/v1/completions"
MOST = 256
"""Adapters in one call."""


@dataclass(frozen=True)
class Warmup:
    """The way to do it."""

    catalog: Catalog
    forwarder: Forwarder

    def targets(self, names: Sequence[str]) -> dict[str, tuple[Target, ...]]:
        """What is to be asked, by name. Raises ApiError (404) for a name that means nothing."""
        found: dict[str, tuple[Target, ...]] = {}
        for name in names:
            route = self.catalog.find(name)
            if route is None:
                raise ApiError(404, f"there is no model `{name[:128]}`", code="model_not_found", param="adapters")
            found[name] = route.targets
        return found

    async def warm(self, wanted: dict[str, tuple[Target, ...]]) -> dict[str, dict[str, str]]:
        """Ask each. By name and pod: `ok`, or one word for why not."""
        told: dict[str, dict[str, str]] = {name: {} for name in wanted}
        replicas: defaultdict[str, list[tuple[str, Target]]] = defaultdict(list)
        for name, targets in wanted.items():
            for target in targets:
                replicas[target.address].append((name, target))

        async def one_replica(asked: list[tuple[str, Target]]) -> None:
            for name, target in asked:
                told[name][target.pod] = await self._touch(target)

        async with asyncio.TaskGroup() as group:
            for asked in replicas.values():
                group.create_task(one_replica(asked))
        return told

    async def _touch(self, target: Target) -> str:
        try:
            with self.forwarder.picker.in_flight(target):
                status = await self.forwarder.touch(PATH, target, b'{"model":%b,"prompt":"a","max_tokens":1}')
        except Passed as passed:
            return passed.why
        except UpstreamError:
            return "reset"
        return "ok" if status < 400 else f"status {status}"
