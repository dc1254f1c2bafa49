"""Single days of the control plane on the virtual clock: what goes wrong in each, and what nobody may notice of it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lorikeet.agent import memory, model
from lorikeet.agent.keeper import Pace
from lorikeet.kube.client import Body
from lorikeet.kube.lease import Terms
from lorikeet.kube.resource import LEASES, Resource
from lorikeet.testing import builders as b
from lorikeet.testing.campaign.world import Version
from lorikeet.testing.simulation import Cluster, simulated
from lorikeet.testing.simulation.network import Broken, Call
from lorikeet.testing.simulation.promises import Promises

HOUR = 3600.0
UNHURRIED = Terms(duration=900.0, renew=600.0, retry=200.0)
"""A lease that costs little where days pass."""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with simulated(tmp_path) as found:
        yield found


def serve(cluster: Cluster, *names: str, replicas: int = 1) -> None:
    """A server that serves these adapters."""
    cluster.create_server(replicas=replicas)
    for name in names:
        cluster.create_adapter(name)
    cluster.pass_time(15.0)
    assert all(map(cluster.is_ready, names))


def watched(cluster: Cluster, *names: str) -> Promises:
    """From now on every promise about these adapters' first versions is looked after."""
    found = Promises(cluster)
    found.declared += [Version(name, uri := b.source_uri(name), b.digest_of(uri)) for name in names]
    cluster.loop.create_task(found.run())
    return found


def test_an_agent_that_restarts_on_the_only_replica_leaves_no_gap(cluster: Cluster) -> None:
    serve(cluster, "sql")
    promises = watched(cluster, "sql")
    cluster.pass_time(20.0)
    (replica,) = cluster.replicas.values()
    replica.kill_agent()
    cluster.pass_time(20.0)
    assert list(promises.broken) == []
    assert replica.engine.loads == [(1, b.entry("sql").engine_name)]


def test_an_engine_that_crashed_is_said_to_be_gone_within_five_seconds_and_has_its_adapters_back(
    cluster: Cluster,
) -> None:
    serve(cluster, "sql")
    (replica,) = cluster.replicas.values()
    replica.crash_engine()
    cluster.pass_time(5.0)
    assert not cluster.is_ready("sql")
    cluster.pass_time(10.0)
    assert cluster.is_ready("sql")
    assert len(replica.engine.loads) == 2


@pytest.mark.parametrize("carried_out", [False, True])
def test_a_load_whose_connection_breaks_is_asked_for_once_more_at_most(cluster: Cluster, carried_out: bool) -> None:
    cluster.create_server(replicas=1)
    cluster.pass_time(10.0)
    broken = [(Broken("scripted"), carried_out)]

    def trouble(host: str, call: Call) -> Any:
        return broken.pop() if broken and call.path == "/v1/load_lora_adapter" else None

    cluster.network.trouble = trouble
    cluster.create_adapter("sql")
    cluster.pass_time(10.0)
    assert cluster.is_ready("sql")
    (replica,) = cluster.replicas.values()
    assert cluster.network.counts[replica.engine_host, "POST /v1/load_lora_adapter"] == 2 - carried_out


def lose_event(cluster: Cluster, number: int) -> list[str]:
    """Let the watches lose the event of this number from now on; the events that come."""
    had: list[str] = []

    def count(kind: str, resource: Resource, body: Body) -> None:
        if resource != LEASES:
            had.append(f"{kind} {resource.kind} {body['metadata']['name']}")
            cluster.deaf = len(had) == number

    cluster.objects.watchers.insert(0, count)
    return had


def afternoon(cluster: Cluster) -> None:
    """Two adapters come, one changes, one goes."""
    cluster.create_adapter("sql")
    cluster.create_adapter("other")
    cluster.pass_time(40.0)
    assert cluster.is_ready("sql")
    assert cluster.is_ready("other")
    cluster.change_adapter("sql", source={"uri": b.source_uri("sql", b.COMMIT_2)})
    cluster.pass_time(40.0)
    assert cluster.status("sql").engine_name == b.entry("sql", b.COMMIT_2).engine_name
    cluster.delete_adapter("other")
    cluster.pass_time(40.0)


@pytest.mark.parametrize("number", range(1, 13))
def test_whichever_event_of_a_watch_is_lost_all_is_as_wanted_half_a_minute_later(tmp_path: Path, number: int) -> None:
    with simulated(tmp_path) as cluster:
        cluster.create_server(replicas=1)
        cluster.pass_time(15.0)
        had = lose_event(cluster, number)
        afternoon(cluster)
        (replica,) = cluster.replicas.values()
        assert len(had) >= number, "this event never came"
        assert b.entry("other").engine_name not in replica.engine.lists, had[number - 1]
        assert b.entry("sql", b.COMMIT_2).engine_name in replica.engine.lists, had[number - 1]
        assert Counter(replica.engine.loads).most_common(1)[0][1] == 1, f"{had[number - 1]}: something is loaded twice"


@pytest.mark.parametrize(("adapters", "hours"), [(8, 3), pytest.param(64, 24, marks=pytest.mark.faults)])
@pytest.mark.timeout(3600)
def test_adapters_that_fail_for_ever_ask_six_times_an_hour_and_write_nothing(
    tmp_path: Path, adapters: int, hours: int
) -> None:
    pace = replace(Pace(), idle=60.0)
    with simulated(tmp_path, pace, UNHURRIED) as cluster:
        cluster.hub.away = True
        cluster.create_server(replicas=1, lora={"maxLoras": 4, "maxCpuLoras": 64})
        for number in range(adapters):
            cluster.create_adapter(f"ad-{number}")
        cluster.pass_time(HOUR)
        for _ in range(hours):
            cluster.hub.asked.clear()
            before = [body["metadata"]["resourceVersion"] for body in cluster.adapters()]
            cluster.pass_time(HOUR)
            assert 0 < max(Counter(cluster.hub.asked).values()) <= 6
            assert [body["metadata"]["resourceVersion"] for body in cluster.adapters()] == before


def questions(folder: Path, jump: timedelta, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a hub that is away was asked, minute by minute; the date jumps forth and back by `jump`."""
    chance = random.Random(7)  # waits are stretched by chance, of which other threads of this process take some too
    for room in (memory, model):
        monkeypatch.setattr(room, "random", chance)
    with simulated(folder) as cluster:
        cluster.hub.away = True
        cluster.create_server(replicas=1)
        cluster.create_adapter("sql")
        asked = []
        for minute in range(40):
            cluster.objects.skew = jump * (minute % 3 - 1)
            cluster.pass_time(60.0)
            asked.append(len(cluster.hub.asked))
        return asked


def test_a_wall_clock_that_jumps_changes_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steady = questions(tmp_path / "steady", timedelta(), monkeypatch)
    assert steady[-1] > steady[0] > 0
    assert questions(tmp_path / "jumping", timedelta(hours=1), monkeypatch) == steady
