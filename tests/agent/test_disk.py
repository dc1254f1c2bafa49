"""The replica's disk: never more than it may hold, never half an adapter, nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorikeet.agent.settings import number_of_bytes
from lorikeet.agent.space import Space
from lorikeet.api.conditions import Reason
from lorikeet.api.wire import WantedAdapter
from lorikeet.artifacts.errors import Unavailable
from lorikeet.testing.replica import Replica


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
    assert list((replica.folder / "adapters/incoming").iterdir()) == []
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
