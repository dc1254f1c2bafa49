"""The adapters volume, with the process killed at each step of each operation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lorikeet.agent.disk import Disk
from lorikeet.agent.store import Staged, Store
from lorikeet.api.wire import Wanted, WantedAdapter
from lorikeet.artifacts.digest import content_digest, file_sha256

FILES = {"adapter_config.json": b'{"r": 8}', "adapter_model.safetensors": b"weights"}
URI = "hf://acme/pirate@" + "1" * 40
OLD = Wanted(adapters=(WantedAdapter(adapter="old", uri=URI),), epoch=1)
NEW = Wanted(adapters=(WantedAdapter(adapter="new", uri=URI),), epoch=2)


class Killed(BaseException):
    """The process ends here."""


class Mortal(Disk):
    """A disk on which the process is killed before its `last`-th step, or in the middle of it."""

    def __init__(self, last: int, halfway: bool = False) -> None:
        self._left, self._halfway = last, halfway
        self.steps = 0

    def make(self, folder: Path) -> None:
        self._step()
        super().make(folder)

    def write(self, path: Path, data: bytes) -> None:
        self._step(lambda: path.write_bytes(data[: len(data) // 2]))
        super().write(path, data)

    def sync(self, path: Path) -> None:
        self._step()
        super().sync(path)

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: Path) -> None:
        self._step(lambda: next((file.unlink() for file in path.rglob("*") if file.is_file()), None))
        super().remove(path)

    def _step(self, half: Callable[[], object] = lambda: None) -> None:
        self.steps += 1
        self._left -= 1
        if self._left < 0:
            if self._halfway:
                half()
            raise Killed


def bring(store: Store) -> Staged:
    room = store.room()
    for name, data in FILES.items():
        (room / name).write_bytes(data)
    digest = content_digest({name: file_sha256(room / name) for name in FILES})
    staged = Staged(uri=URI, revision="1" * 40, digest=digest, rank=8, bytes=15)
    store.adopt(room, staged)
    return staged


def whole(root: Path) -> bool:
    """Whether whatever has a digest for a name holds the bytes of that digest."""
    folders = list((root / "store").iterdir()) if (root / "store").exists() else []
    return all(
        folder.name == content_digest({path.name: file_sha256(path) for path in folder.iterdir()}) for folder in folders
    )


def everything(root: Path) -> set[str]:
    return {path.relative_to(root).parts[0] + "/" + path.name for path in root.rglob("*") if path.is_file()}


def steps(root: Path, setup: Callable[[Store], Any], work: Callable[[Store], Any]) -> int:
    """How many steps `work` takes."""
    setup(opened(Store(root)))
    disk = Mortal(10_000)
    work(Store(root, disk))
    return disk.steps


def opened(store: Store) -> Store:
    store.open()
    return store


def killed_at_each_step(tmp_path: Path, setup: Callable[[Store], Any], work: Callable[[Store], Any]) -> list[Path]:
    """A volume for each step of `work` before, or in the middle of, which the process was killed."""
    count = steps(tmp_path / "counted", setup, work)
    assert count > 1
    roots = []
    for last in range(count):
        for halfway in (False, True):
            root = tmp_path / f"{last}-{halfway}"
            setup(opened(Store(root)))
            with pytest.raises(Killed):
                work(Store(root, Mortal(last, halfway)))
            roots.append(root)
    return roots


def test_what_was_adopted_is_found_again(tmp_path: Path) -> None:
    staged = bring(opened(Store(tmp_path)))
    found = Store(tmp_path).open()
    assert found.staged == {URI: staged}
    assert found.digests == {staged.digest}
    assert found.wanted is None
    folder = Store(tmp_path).path(staged.digest)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES


def test_a_fetch_killed_anywhere_leaves_all_or_nothing(tmp_path: Path) -> None:
    for root in killed_at_each_step(tmp_path, lambda store: None, bring):
        assert whole(root)
        found = Store(root).open()
        assert list((root / "incoming").iterdir()) == []
        assert all(staged.digest in found.digests for staged in found.staged.values())
        again = bring(Store(root))  # the next life does it over, and ends where it would have ended
        assert Store(root).open().staged == {URI: again}


def test_a_removal_killed_anywhere_leaves_all_or_nothing(tmp_path: Path) -> None:
    def remove(store: Store) -> None:
        store.remove(next(store.folder.iterdir()).name, (URI,))

    for root in killed_at_each_step(tmp_path, bring, remove):
        assert whole(root)
        found = Store(root).open()
        for digest in found.digests:
            Store(root).remove(digest, (URI,))
        assert everything(root) == set()


def test_opening_killed_anywhere_loses_nothing(tmp_path: Path) -> None:
    def setup(store: Store) -> None:
        bring(store)
        (store.room() / "leftover").write_text("x")
        (store.room() / "another").write_text("x")

    for root in killed_at_each_step(tmp_path, setup, lambda store: store.open()):
        found = Store(root).open()
        assert list(found.staged) == [URI]
        assert not [name for name in everything(root) if name.startswith("incoming")]


def test_the_wanted_set_is_the_old_or_the_new_one(tmp_path: Path) -> None:
    def remember(store: Store) -> None:
        store.remember(NEW)

    for root in killed_at_each_step(tmp_path, lambda store: store.remember(OLD), remember):
        assert Store(root).open().wanted in (OLD, NEW)


def test_the_hottest_are_the_old_or_the_new_ones(tmp_path: Path) -> None:
    roots = killed_at_each_step(
        tmp_path,
        lambda store: store.remember_hottest(("a", "b")),
        lambda store: store.remember_hottest(("b", "a")),
    )
    for root in roots:
        assert Store(root).open().hottest in (("a", "b"), ("b", "a"))


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"uri": 5, "adapters": 5}', b"\xff"])
def test_a_damaged_pin_is_dropped_and_a_damaged_set_is_none(tmp_path: Path, damage: bytes) -> None:
    staged = bring(opened(Store(tmp_path)))
    for path in (tmp_path / "pins").iterdir():
        path.write_bytes(damage)
    (tmp_path / "wanted.json").write_bytes(damage)
    (tmp_path / "hottest.json").write_bytes(damage)
    found = Store(tmp_path).open()
    assert (found.staged, found.wanted, found.hottest) == ({}, None, ())
    assert found.digests == {staged.digest}
    assert list((tmp_path / "pins").iterdir()) == []


def test_the_same_bytes_of_another_source_share_a_folder(tmp_path: Path) -> None:
    store = opened(Store(tmp_path))
    staged = bring(store)
    room = store.room()
    store.adopt(room, staged.model_copy(update={"uri": "hf://other/copy@" + "2" * 40}))
    store.clear(room)
    assert len(store.open().staged) == 2
    assert len(list(store.folder.iterdir())) == 1


def test_staged_files_cannot_be_written(tmp_path: Path) -> None:
    store = opened(Store(tmp_path))
    folder = store.path(bring(store).digest)
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o444}
