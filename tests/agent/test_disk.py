"""The replica's disk: never more than it may hold, never half an adapter, nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorikeet.agent.settings import number_of_bytes
from lorikeet.agent.space import Space
from lorikeet.agent.store import Store
from lorikeet.api.conditions import Reason
from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.artifacts.errors import Unavailable
from lorikeet.artifacts.hub import Sums
from lorikeet.testing.hub import Fault, Kind
from lorikeet.testing.replica import PACE, Replica, eventually

pytestmark = pytest.mark.slow


def adapter(name: str, uri: str, **more: Any) -> WantedAdapter:
    return WantedAdapter(adapter=name, uri=uri, **more)


def size(replica: Replica, repo: str) -> int:
    return sum(file.stat().st_size for file in (replica.folder / "hub" / repo / "v1").iterdir())


async def limited(replica: Replica, adapters: float, repo: str) -> None:
    """From now on the replica has room for so many like the one in `repo`."""
    await replica.stop_agent()
    await replica.start_agent(adapters_limit=int(adapters * size(replica, repo)))


async def test_an_adapter_without_room_says_so_and_comes_when_another_goes(replica: Replica) -> None:
    one, two = replica.publish("acme/one"), replica.publish("acme/two", seed=2)
    await limited(replica, 1.5, "acme/one")
    await replica.want(adapter("one", one))
    await replica.row("one", "Loaded")
    await replica.want(adapter("one", one), adapter("two", two))
    row = await replica.row("two", "Failed")
    assert (row.reason, row.lasting) == (Reason.NO_SPACE, False)
    assert "raise spec.storage.adapters" in row.message
    assert left(replica)[1] == []
    await replica.want(adapter("two", two))
    await replica.row("two", "Loaded")


async def test_what_is_only_kept_goes_before_anything_fails_for_room(replica: Replica) -> None:
    kept, new = replica.publish("acme/one"), replica.publish("acme/two", seed=2)
    await limited(replica, 1.5, "acme/one")
    await replica.want(adapter("one", kept, load=False))
    old = await replica.row("one", "Staged")
    seen = set()
    await replica.want(adapter("one", kept, load=False), adapter("two", new))

    def row_of_two(state: Any) -> bool:
        seen.update(row.state for row in state.adapters if row.adapter == "two")
        return "Loaded" in seen

    await replica.until(row_of_two)
    assert "Failed" not in seen
    given_up = await replica.row("one", "Failed")
    assert given_up.reason == Reason.NO_SPACE
    assert "were given up, the replica's disk is full: raise spec.storage.adapters" in given_up.message
    assert old.digest not in replica.stored()
    assert (await replica.state()).settled


async def test_nothing_loaded_goes_for_what_is_only_kept(replica: Replica) -> None:
    one, two = replica.publish("acme/one"), replica.publish("acme/two", seed=2)
    await limited(replica, 1.5, "acme/one")
    await replica.want(adapter("one", one))
    await replica.row("one", "Loaded")
    await replica.want(adapter("one", one), adapter("two", two, load=False))
    assert (await replica.row("two", "Failed")).reason == Reason.NO_SPACE
    assert (await replica.row("one", "Loaded")).digest in replica.stored()


async def test_a_disk_that_is_full_in_the_middle_of_a_file_is_no_space_and_nothing_is_left(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = replica.publish("acme/one")

    def full(self: Sums, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    await replica.until(lambda state: state.model.ready)
    with monkeypatch.context() as patch:
        patch.setattr(Sums, "add", full)
        await replica.want(adapter("one", uri))
        row = await replica.row("one", "Failed")
    assert (row.reason, row.lasting) == (Reason.NO_SPACE, False)
    assert row.message == "adapter one: the replica's disk says No space left on device"
    assert left(replica) == ([], [])
    await replica.want(adapter("one", uri, credentials_key=None, sha256=None, load=False))  # asked for anew
    await replica.row("one", "Staged")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(Kind.FLIP, "GET .*safetensors", times=999), Reason.DIGEST_MISMATCH),
        (Fault(Kind.FLIP, "GET .*json", times=999), Reason.DIGEST_MISMATCH),
        (Fault(Kind.TRUNCATE, "GET .*safetensors", times=999), Reason.SOURCE_UNAVAILABLE),
    ],
    ids=["a flipped bit", "a flipped bit in the config", "cut each time"],
)
async def test_half_a_download_never_gets_a_digest_for_a_name(replica: Replica, fault: Fault, reason: Reason) -> None:
    uri = replica.publish("acme/one")
    await replica.until(lambda state: state.model.ready)
    replica.hub.faults.append(fault)
    names: set[str] = set()
    await replica.want(adapter("one", uri))

    def failed(state: AgentState) -> bool:
        names.update(replica.stored())
        return any(row.state == "Failed" for row in state.adapters)

    state = await replica.until(failed)
    assert (state.adapters[0].reason, names) == (reason, set())
    replica.hub.faults.clear()
    row = await replica.row("one", "Loaded")
    assert left(replica) == ([row.digest], [])


@pytest.mark.parametrize("method", ["room", "adopt", "clear"])
async def test_an_adapter_deleted_while_the_disk_works_leaves_nothing(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Threads go on when what waits for them is cancelled."""
    real, began, ended = getattr(Store, method), threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        began.set()
        time.sleep(0.1)  # the disk's own time, in its thread
        found = real(*given)
        time.sleep(0.1)
        ended.set()
        return found

    monkeypatch.setattr(Store, method, slow)
    await replica.until(lambda state: state.model.ready)
    await replica.want(adapter("one", replica.publish("acme/one")))
    await eventually(began.is_set)
    await replica.want()
    await eventually(ended.is_set)
    await eventually(lambda: left(replica) == ([], []) and replica.loaded() == [])
    assert (await replica.until(lambda state: state.adapters == ())).settled


@pytest.mark.parametrize("step", ["Fetching", "Staged", "Loading", "Loaded", "Draining"])
async def test_an_adapter_deleted_at_any_step_leaves_nothing(replica: Replica, step: str) -> None:
    uri, faults = replica.publish("acme/one"), replica.engine.faults
    await replica.until(lambda state: state.settled and state.model.ready)
    match step:
        case "Fetching":
            replica.hub.faults.append(Fault(Kind.DRIP, "GET .*safetensors", pause=0.001))
        case "Staged":
            await replica.engine.crash()
            await replica.until(lambda state: state.engine == "Unreachable")
        case "Loading":
            faults.stuck_loads.add("one")
        case "Draining":
            faults.refuse_unload = (500, "not yet")
    await replica.want(adapter("one", uri))
    if step == "Draining":
        await replica.row("one", "Loaded")
        await replica.want()
    await replica.row("one", step)
    await replica.want()
    faults.stuck_loads.clear()
    faults.refuse_unload = None
    if step == "Staged":
        await replica.engine.start()
    await eventually(lambda: left(replica) == ([], []) and replica.loaded() == [])
    assert (await replica.until(lambda state: state.adapters == ())).settled


async def test_files_outlive_registration_however_adapters_come_and_go(tmp_path: Path) -> None:
    """One place in the engine's memory, eight adapters: each answer may read files again, and dies without them."""
    pace = replace(PACE, policy=replace(PACE.policy, grace=0.3))
    async with Replica(tmp_path, pace=pace) as replica:
        await thrashed(replica)
        assert replica.engine.died is None
        assert len(replica.stored()) == 8


async def thrashed(replica: Replica) -> None:
    await replica.engine.restart(max_loras=1, max_cpu_loras=1)
    uris = {f"a{number}": replica.publish(f"acme/a{number}", seed=number) for number in range(8)}
    over = asyncio.Event()

    async def thrash() -> int:
        asked = 0
        while not over.is_set():
            await asyncio.sleep(0)
            for name in replica.loaded():
                asked += await replica.ask(name, max_tokens=1) == 200
        return asked

    asking = asyncio.create_task(thrash())
    for gone in [*uris, None]:
        await replica.want(*(adapter(name, uri) for name, uri in uris.items() if name != gone))
        wanted = len(uris) - (gone is not None)
        await replica.until(lambda state, wanted=wanted: len(state.adapters) == wanted and state.settled)
    over.set()
    assert await asking > len(uris)


def left(replica: Replica) -> tuple[list[str], list[str]]:
    """Digests on the volume, and names of what is on its way in or out."""
    return replica.stored(), [path.name for path in (replica.folder / "adapters/incoming").iterdir()]


def test_two_fetches_do_not_take_the_same_room(tmp_path: Path) -> None:
    space = Space(tmp_path, limit=1000, stored=lambda: 300)
    with space.take("a", 400):
        with pytest.raises(Unavailable, match="room for 280") as caught, space.take("b", 400):
            pass
        assert caught.value.reason is Reason.NO_SPACE
    with space.take("b", 400):
        pass


@pytest.mark.parametrize(
    ("quantity", "bytes_"),
    [("0", 0), ("512Mi", 536870912), ("20Gi", 21474836480), ("1.5G", 1500000000), ("7", 7), ("7000m", 7)],
)
def test_a_quantity_is_a_number_of_bytes(quantity: str, bytes_: int) -> None:
    assert number_of_bytes(quantity) == bytes_


@pytest.mark.parametrize("wrong", ["", "Gi", "1Xi", "ten"])
def test_other_text_is_none(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        number_of_bytes(wrong)
