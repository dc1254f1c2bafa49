"""The agent's small parts."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lorikeet.agent.board import Board
from lorikeet.agent.guard_folder import GuardFolder
from lorikeet.agent.memory import Memory
from lorikeet.agent.model import Model, complete
from lorikeet.agent.seen import Key
from lorikeet.agent.settings import from_environment
from lorikeet.agent.store import Found, Staged
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.wire import AdapterState, AgentState, Wanted, WantedAdapter
from lorikeet.artifacts.hub import Hub as Client
from lorikeet.backoff import Backoff
from lorikeet.engine import guard
from lorikeet.testing.adapters import write_base
from lorikeet.testing.hub import Fault, Hub, Kind
from lorikeet.testing.replica import SMALL

KEY = Key("a", "hf://x/a@1")
LATER = Problem(reason=Reason.SOURCE_UNAVAILABLE, message="later")
NEVER = Problem(reason=Reason.RANK_TOO_HIGH, message="never", lasting=True)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("problem", "left"), [(NEVER, True), (LATER, False)], ids=["for good", "for now"])
def test_that_it_shall_be_loaded_now_changes_nothing_about_its_bytes(problem: Problem, left: bool) -> None:
    memory = Memory(Backoff(), Clock())
    wish = WantedAdapter(adapter=KEY.adapter, uri=KEY.uri, load=False)
    memory.take(Wanted(adapters=(wish,)))
    memory.fail(KEY, "fetch", problem)
    assert memory.take(Wanted(adapters=(wish.model_copy(update={"load": True}),))) == frozenset()
    assert (KEY in memory.failures) == left
    assert memory.take(Wanted(adapters=(wish.model_copy(update={"sha256": "f" * 64}),))) == {KEY}
    assert KEY not in memory.failures


def remembering(clock: Clock) -> Memory:
    memory = Memory(Backoff(), clock)
    memory.take(Wanted(adapters=(WantedAdapter(adapter=KEY.adapter, uri=KEY.uri),)))
    return memory


def test_a_failure_waits_longer_each_time_and_success_forgets_it() -> None:
    memory = remembering(Clock())
    waits = []
    for _ in range(12):
        memory.fail(KEY, "fetch", LATER)
        waits.append(memory.failures[KEY].retry_at or 0)
    assert waits[0] < 0.08
    assert 60 <= waits[-1] <= 90
    memory.succeeded(KEY, "load")
    assert KEY in memory.failures
    memory.succeeded(KEY, "fetch")
    assert KEY not in memory.failures


def test_what_cannot_be_undone_waits_longer_each_time_until_it_is_gone() -> None:
    memory = remembering(Clock())
    waits = []
    for _ in range(12):
        memory.balk("a@1", "no")
        waits.append(memory.balks["a@1"].retry_at)
    assert waits[0] < 0.08
    assert 60 <= waits[-1] <= 90
    memory.forget(frozenset({"a@1"}), frozenset())
    assert memory.balks
    memory.forget(frozenset(), frozenset())
    assert not memory.balks


def test_a_lasting_failure_waits_for_another_entry() -> None:
    memory = remembering(Clock())
    memory.fail(KEY, "fetch", NEVER)
    assert memory.failures[KEY].retry_at is None
    memory.take(memory.wanted.model_copy(update={"epoch": 9}))
    assert KEY in memory.failures
    memory.take(Wanted(adapters=(WantedAdapter(adapter=KEY.adapter, uri=KEY.uri, sha256="0" * 64),)))
    assert KEY not in memory.failures


def test_a_jump_of_the_wall_clock_changes_no_wait() -> None:
    clock = Clock()
    memory = remembering(clock)
    clock.now = 5.0  # monotonic: the only clock it has
    memory.fail(KEY, "fetch", LATER, asked=10.0)
    assert 15.0 <= (memory.failures[KEY].retry_at or 0) <= 20.0


def test_a_new_boot_forgets_failed_loads_and_keeps_failed_fetches() -> None:
    memory = remembering(Clock())
    memory.fail(KEY, "load", NEVER)
    memory.new_boot()
    assert memory.failures == {}
    memory.fail(KEY, "fetch", NEVER)
    memory.new_boot()
    assert KEY in memory.failures


def test_what_a_lost_load_may_still_name_is_held_for_a_while() -> None:
    clock = Clock()
    memory = remembering(clock)
    pin = Staged(uri=KEY.uri, revision="1", digest="d" * 64, rank=8, bytes=1)
    memory.found(Found(None, {KEY.uri: pin}, frozenset({pin.digest})))
    memory.hold(KEY.uri, 600.0)
    clock.now = 599.0
    assert memory.held() == {pin.digest}
    clock.now = 601.0
    assert memory.held() == frozenset()


async def test_a_board_counts_changes_alone() -> None:
    board = Board("life")
    assert not board.post(AgentState(seq=99, life="x"))
    assert board.post(AgentState(seq=0, life="", epoch=1))
    assert not board.post(AgentState(seq=0, life="", epoch=1))
    assert (board.state.seq, board.state.life) == (2, "life")


async def test_a_row_is_dated_when_its_state_changes_and_not_before() -> None:
    days = iter(datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 3))
    board = Board("life", lambda: next(days))

    def since(state: State, message: str) -> str:
        row = AdapterState(adapter="a", uri="hf://x/a@1", state=state, message=message)
        board.post(AgentState(seq=0, life="", adapters=(row,)))
        return board.state.adapters[0].since[:10]

    assert since(State.FETCHING, "") == "2026-01-01"
    assert since(State.FETCHING, "half of it") == "2026-01-01"
    assert since(State.LOADED, "") == "2026-01-03"


async def test_all_who_wait_at_a_board_see_a_change() -> None:
    board = Board("life")
    waiting = [asyncio.create_task(board.after(1, 5)) for _ in range(3)]
    await asyncio.sleep(0)
    board.post(AgentState(seq=0, life="", epoch=1))
    assert [state.seq for state in await asyncio.gather(*waiting)] == [2, 2, 2]


def test_the_guard_gets_its_module_and_keys(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/inference-key").write_text("key\n")
    folder = GuardFolder(tmp_path / "run", tmp_path / "keys")
    token = folder.fill()
    assert len(token) == 64
    assert folder.fill() == token
    files = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert files["lorikeet_guard.py"] == Path(guard.__file__).read_bytes()
    assert (files["control-token"].decode(), files["inference-key"]) == (token, b"key")
    assert len(files) == 3
    assert {path.stat().st_mode & 0o007 for path in (tmp_path / "run").iterdir()} == {0}


def test_without_an_inference_key_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inference-key"):
        GuardFolder(tmp_path / "run", tmp_path / "keys").fill()


ENV = {
    "LORIKEET_SERVER": "qwen",
    "LORIKEET_NAMESPACE": "default",
    "LORIKEET_POD": "qwen-0",
    "LORIKEET_MODEL_URI": "hf://acme/base@1",
    "LORIKEET_MAX_RANK": "32",
}


def test_settings_come_from_the_environment() -> None:
    settings = from_environment(ENV)
    assert (settings.server, settings.max_rank, settings.hub_endpoint) == ("qwen", 32, "https://huggingface.co")
    assert str(settings.model_folder).startswith("/models/")
    assert from_environment(ENV | {"LORIKEET_HUB_ENDPOINT": ""}).hub_endpoint == "https://huggingface.co"
    assert from_environment(ENV | {"LORIKEET_HUB_ENDPOINT": "http://hub"}).hub_endpoint == "http://hub"


@pytest.mark.parametrize("name", sorted(ENV))
def test_a_missing_setting_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        from_environment({key: value for key, value in ENV.items() if key != name})


def model_of(hub: Hub, folder: Path, uri: str = "hf://acme/base") -> Model:
    return Model(uri, folder / "models/x", Client(hub.url), backoff=Backoff(first=0.01, cap=0.05))


async def test_a_model_is_complete_or_not_there(tmp_path: Path) -> None:
    write_base(tmp_path / "hub/acme/base/v1", dimensions=SMALL)
    async with Hub(tmp_path / "hub") as hub:
        hub.faults.append(Fault(Kind.FLIP, "GET .*safetensors"))
        seen: list[Any] = []
        model = model_of(hub, tmp_path)
        model.changed = lambda: seen.append((model.state.reason, (tmp_path / "models/x").exists()))
        await model.keep_trying()
    assert seen == [(Reason.DIGEST_MISMATCH, False), (None, True)]
    assert model.facts is not None
    assert "model.layers.0.self_attn.q_proj" in model.facts.modules
    assert complete(tmp_path / "models/x", "hf://acme/base") is not None
    assert complete(tmp_path / "models/x", "hf://acme/other") is None
    (tmp_path / "models/x/config.json").write_text("{}")
    assert complete(tmp_path / "models/x", "hf://acme/base") is None


async def test_an_agent_that_starts_again_has_the_model_that_is_there_before_it_says_anything(tmp_path: Path) -> None:
    write_base(tmp_path / "hub/acme/base/v1", dimensions=SMALL)
    async with Hub(tmp_path / "hub") as hub:
        first, again, empty = (model_of(hub, folder) for folder in (tmp_path, tmp_path, tmp_path / "empty"))
        await first.keep_trying()
        hub.requests.clear()
        await again.open()
        await empty.open()
        assert (again.state, again.facts) == (first.state, first.facts)
        assert (empty.state.ready, hub.requests) == (False, [])


async def test_a_damaged_model_is_fetched_anew(tmp_path: Path) -> None:
    write_base(tmp_path / "hub/acme/base/v1", dimensions=SMALL)
    async with Hub(tmp_path / "hub") as hub:
        await model_of(hub, tmp_path).keep_trying()
        (tmp_path / "models/x/config.json").unlink()
        again = model_of(hub, tmp_path)
        await again.keep_trying()
    assert again.state.ready
    assert (tmp_path / "models/x/config.json").exists()
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["x"]


async def test_a_model_in_the_image_is_there_and_unseen(tmp_path: Path) -> None:
    async with Hub(tmp_path) as hub:
        model = model_of(hub, tmp_path, "image:///models/tiny")
        await model.keep_trying()
        assert (model.state.ready, model.facts, hub.requests) == (True, None, [])
