"""What adapters cost in calls, on the benchmark's stage: operator and real agents as processes, a real API server."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.testing.bench import rows
from lorikeet.testing.bench.stage import stage

MANY, REPLICAS = 20, 4
SERVERS_OWN = 10
"""Writes about the server itself while its adapters come and go."""


@pytest.mark.timeout(600)
async def test_adapters_cost_few_writes_and_each_load_is_asked_for_once(tmp_path: Path) -> None:
    async with stage(tmp_path, replicas=REPLICAS) as found:
        for one in (await rows.one_adapter(found, 1)).values():
            assert one["api writes"] <= 4, "how far it is, the first replica, Ready, and the server's count at most"
        for many in (await rows.many_adapters(found, MANY)).values():
            assert many["api writes"] <= 3 * MANY + SERVERS_OWN, "where machines are slow: some say how far they are"
            assert many["loads asked"] == MANY * REPLICAS
            assert many["pushes"] <= 10 * REPLICAS
            assert many["engine lists"] <= MANY * REPLICAS / 2
        lost = await rows.forgetful_engine(found, MANY)
        assert lost["loads"] == MANY
        assert lost["api writes"] <= 5 * MANY + SERVERS_OWN
