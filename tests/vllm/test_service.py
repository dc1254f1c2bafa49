"""Everything at once: an API server, the operator, two replicas, the gateway's process, and clients who never rest."""

from __future__ import annotations

import gc
import itertools
import json
import os
import statistics
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lorikeet.api.conditions import Kind, Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.campaign.askers import Asked, Askers
from lorikeet.testing.campaign.cast import Cast, Part, simulated, trained
from lorikeet.testing.campaign.container import Container
from lorikeet.testing.campaign.effects import Ledger
from lorikeet.testing.campaign.gateway import gateway
from lorikeet.testing.campaign.life import Life, life
from lorikeet.testing.campaign.world import PACE, Version, World, world

ROOT = Path(__file__).parents[2]
START_SECONDS = 600.0
"""Two real engines on two idle cores are up in one minute; beside builds in several."""
SLOTS = 3
PATIENT = replace(PACE, note=0.5, policy=replace(PACE.policy, grace=1.0))
"""A gateway on a machine that is shared with builds hears of a new version later; agents write down soon who is hot."""
COLD, COOL, HOT = "a-cold", "b-cool", "z-hot"
"""Without heat, engines get their adapters in the order of their names."""
ROUNDS, SAMPLES = 5, 12
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # kopf ends before its sockets
]


@dataclass
class Service:
    """One server of two replicas behind a gateway; nothing is on it between tests."""

    cast: Cast
    world: World
    life: Life
    gateway: str
    real: bool

    def publish(self, adapter: str, part: Part, revision: str = "v1") -> Version:
        return self.world.publish(adapter, revision, part.build)

    def engine(self, pod: str) -> Container:
        engine = self.life.pods[pod].engine
        assert isinstance(engine, Container)
        return engine

    def askers(self, model: str, clients: int = 1, **more: Any) -> Askers:
        return Askers(self.gateway, model, self.cast.questions, clients, **more)

    async def served(self, version: Version) -> None:
        """Until the public name means this version, on both replicas."""

        def met() -> bool:
            status = self.life.status(version.adapter)
            return (
                status.engine_name == version.engine_name
                and ready(status)[0] == "True"
                and status.ready_replicas == len(self.life.pods)
            )

        await self.life.until(met, f"{version.engine_name} is served")

    async def all_served(self, *versions: Version) -> None:
        """Until both replicas take requests for all of them, and status says so of these very lives of the engines."""

        def known() -> bool:
            ends = {end.pod: end.boot for end in self.life.server_status.endpoints if end.ready}
            pods = self.life.pods
            return ends.keys() == pods.keys() and all(self.engine(pod).boot == ends[pod] for pod in pods)

        await self.life.until(known, "both replicas are ready")
        for version in versions:
            await self.served(version)

    async def clear(self) -> None:
        """Until nothing is left."""
        for adapter in self.life.adapters():
            await self.life.delete(adapter)
        await self.lists()

    def did(self, verb: str) -> Counter[tuple[str, str]]:
        """What agents asked of their engines so far: pod and engine name → how often."""
        counts = self.life.ledger.counts.items()
        return Counter({(who, what): count for (who, did, what), count in counts if did == verb})

    async def lists(self, *versions: Version) -> None:
        """Until both engines list exactly these."""
        names = {version.engine_name for version in versions}
        pods = self.life.pods.values()
        await self.life.until(lambda: all(pod.lists().keys() == names for pod in pods), f"engines list {names}")


def ready(status: LoRAAdapterStatus) -> tuple[str, str]:
    return next(((each.status, each.reason) for each in status.conditions if each.type == Kind.READY), ("", ""))


@pytest.fixture(scope="module")
def api() -> Iterator[ApiServer]:
    with api_server() as server:
        server.install_crds()
        yield server
    with warnings.catch_warnings():  # kopf's sockets
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(
    scope="module",
    params=[pytest.param("simulator", marks=pytest.mark.integration), pytest.param("vllm", marks=pytest.mark.service)],
)
def cast(request: pytest.FixtureRequest) -> Cast:
    if request.param == "simulator":
        return simulated()
    python, models = request.getfixturevalue("vllm_python"), request.getfixturevalue("models")
    return trained(python, models, ROOT / "models/answers.toml")


@pytest_asyncio.fixture(loop_scope="module")
async def service(everything: Service) -> AsyncIterator[Service]:
    yield everything
    await everything.clear()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(api: ApiServer, cast: Cast, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    async with running(api, cast, folder) as found:
        yield found


@asynccontextmanager
async def running(api: ApiServer, cast: Cast, folder: Path) -> AsyncIterator[Service]:
    """Everything runs, and both replicas take requests."""
    addresses = (f"127.10.{os.getpid() % 250}.{number}" for number in itertools.count(1))
    async with (
        world(api, folder, addresses, cast.base.build, pace=PATIENT, runtime=cast.runtime) as place,
        life(place, Ledger()) as (found, stack),
    ):
        lora = {"maxLoras": 2, "maxCpuLoras": SLOTS, "maxRank": 16}
        await found.two_replicas(stack, lora=lora, engine={"profile": "CPU", "maxModelLen": 512, "maxNumSeqs": 8})
        url = await stack.enter_async_context(gateway(api.kubeconfig, found.namespace, folder))
        service = Service(cast, place, found, url, cast.runtime.module.startswith("vllm"))
        found.patience = START_SECONDS
        await service.all_served()
        yield service


async def test_an_adapter_is_updated_again_and_again_and_nobody_notices_but_by_the_answers(service: Service) -> None:
    """P4: each answer is one of the versions that were served while it was asked for; none fails, none is the base's;
    a version whose time is over leaves the engines."""
    updates = 40 if service.real else 200
    parts = service.cast.parts
    versions = [service.publish("tale", part, f"v{number}") for number, part in enumerate(parts)]
    time = 0
    await service.life.create(versions[0])
    await service.served(versions[0])
    before = service.did("load")
    async with service.askers("tale", 3, now=lambda: time) as asked:
        for time in range(1, updates + 1):
            turn = time % len(parts)
            await service.life.change_source("tale", versions[turn].uri)
            await asked.heard(lambda one, turn=turn: one.said == parts[turn].answers[one.question])
            if time % 10 == 0:  # else they follow each other so fast that old versions are wanted again before they go
                await service.lists(versions[turn])
    assert asked.failed == {}
    assert [one for one in asked.all if not is_timely(one, parts)] == []
    await service.served(versions[updates % len(parts)])
    await service.lists(versions[updates % len(parts)])
    assert (service.did("load") - before).total() > updates // 4, "old versions only lingered: this proves little"


def is_timely(one: Asked, parts: Sequence[Part]) -> bool:
    """Whether it was answered by a version that was wanted between one update before it began and its end: a gateway
    hears of an update a moment after those who asked for it."""
    wanted = range(max(0, one.began - 2), one.ended + 1)
    return one.said in {parts[time % len(parts)].answers[one.question] for time in wanted}


async def test_engines_are_killed_again_and_again_and_no_request_fails(service: Service) -> None:
    """P2: one of two engines dies under load, with an operator and without; nobody is refused, and its adapters come
    back, the hottest first."""
    led, unled = (1, 2) if service.real else (8, 8)
    parts = dict(zip((COLD, COOL, HOT), service.cast.parts, strict=False))
    versions = {name: service.publish(name, part) for name, part in parts.items()}
    for version in versions.values():
        await service.life.create(version)
    await service.all_served(*versions.values())
    async with AsyncExitStack() as stack:
        asked = [
            await stack.enter_async_context(service.askers(*one, pause=pause))
            for one, pause in (((HOT, 4), 0.0), ((COOL,), 0.5), ((COLD,), 1.0))
        ]
        await service.life.until(
            lambda: all(hottest(service, pod, parts) == HOT for pod in "ab"), "it is known who is hot"
        )
        for pod in itertools.islice(itertools.cycle("ab"), led):
            assert await killed(service, pod, versions) == versions[HOT].engine_name
            await service.all_served(*versions.values())
        async with service.life.without_operator():
            for pod in itertools.islice(itertools.cycle("ba"), unled):
                assert await killed(service, pod, versions) == versions[HOT].engine_name
        await service.all_served(*versions.values())
    assert [each.failed for each in asked] == [{}, {}, {}]
    assert [one for each in asked for one in each.all if one.said != parts[each.model].answers[one.question]] == []


async def killed(service: Service, pod: str, versions: dict[str, Version]) -> str:
    """Kill an engine and wait until its next life has everything; what it was given first."""
    engine, ledger = service.engine(pod), service.life.ledger
    boot, before = engine.boot, len(ledger.had)
    engine.kill()
    names = {version.engine_name for version in versions.values()}
    await service.life.until(
        lambda: engine.boot not in ("", boot) and engine.lists().keys() == names, f"{pod} has its adapters back"
    )
    loads = [effect.what for effect in ledger.had[before:] if (effect.who, effect.verb) == (pod, "load")]
    assert sorted(loads) == sorted(names)
    return loads[0]


def hottest(service: Service, pod: str, names: Collection[str]) -> str:
    """Which of them the agent noted as hotter than the others."""
    try:
        found = json.loads((service.life.pods[pod].machine.folder / "adapters/hottest.json").read_text())
    except OSError:
        return ""
    return next((str(name) for name in found["adapters"] if name in names), "")


async def test_adapters_beyond_the_slots_say_so_and_cost_the_others_nothing(
    service: Service, record_property: Any
) -> None:
    """P24: with twice as many adapters as slots those of low priority, older or not, say NoCapacity, and no engine
    hears of them; the others answer as without them."""
    *first, last = service.cast.parts[: SLOTS + 1]
    crowd = [service.publish(f"low-{number}", last) for number in range(SLOTS)]
    favourites = {service.publish(f"high-{number}", part): part for number, part in enumerate(first)}
    await create(service, crowd)
    await service.all_served(*crowd)
    for version in favourites:
        await service.life.create(version, priority=10)
    await lack(service, crowd)
    await service.all_served(*favourites)
    await service.lists(*favourites)
    before = service.did("load") + service.did("unload")
    times: dict[bool, list[float]] = {False: [], True: []}
    for crowded in [True, False] * ROUNDS:
        times[crowded] += [one for version, part in favourites.items() for one in await timed(service, version, part)]
        if crowded:
            refusals = [await refused(service, version) for version in crowd]
            assert 200 not in refusals
            for version in crowd:
                await service.life.delete(version.adapter)
        else:
            await create(service, crowd)
            await lack(service, crowd)
    assert service.did("load") + service.did("unload") == before
    await service.lists(*favourites)
    ratio = statistics.median(times[True]) / statistics.median(times[False])
    record_property("latency_crowded_to_uncrowded", round(ratio, 3))
    print(f"median latency, crowded to uncrowded: {ratio:.3f}")


async def create(service: Service, versions: Sequence[Version]) -> None:
    for version in versions:
        await service.life.create(version)


async def lack(service: Service, versions: Sequence[Version]) -> None:
    """Until each says that it has no slot."""

    def met() -> bool:
        return all(ready(service.life.status(each.adapter)) == ("False", Reason.NO_CAPACITY) for each in versions)

    await service.life.until(met, f"{[version.adapter for version in versions]} lack a slot")


async def timed(service: Service, version: Version, part: Part) -> list[float]:
    """Seconds for each of some requests, one after the other."""
    async with service.askers(version.adapter, 0) as asked:
        every = [await asked.ask(question) for question in itertools.islice(itertools.cycle(part.answers), SAMPLES)]
    assert {(one.status, one.said == part.answers[one.question]) for one in every} == {(200, True)}
    return [one.seconds for one in every]


async def refused(service: Service, version: Version) -> int:
    async with service.askers(version.adapter, 0) as asked:
        return (await asked.ask(service.cast.questions[0])).status
