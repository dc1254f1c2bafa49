"""The agent as a whole: real client, local hub, simulated engine behind the real guard."""

from __future__ import annotations

from typing import Any

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.testing.adapters import BROKEN
from lorikeet.testing.hub import Fault, Kind
from lorikeet.testing.replica import Replica, eventually


def pirate(uri: str, **more: Any) -> WantedAdapter:
    return WantedAdapter(adapter="pirate", uri=uri, **more)


def poet(uri: str, **more: Any) -> WantedAdapter:
    return WantedAdapter(adapter="poet", uri=uri, **more)


def states(state: AgentState) -> list[tuple[str, str]]:
    return [(row.adapter, row.state) for row in state.adapters]


async def test_a_wanted_adapter_is_loaded_and_the_engine_lists_its_digest_folder(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Loaded")
    assert row.engine_name == f"pirate@{row.digest[:12]}"
    assert (row.rank, row.lasting, row.reason) == (8, False, None)
    assert replica.engine.core.adapters[row.engine_name].path == replica.folder / "adapters/store" / row.digest
    state = await replica.until(lambda state: state.settled)
    assert state.engine == "Healthy"
    assert await replica.takes_traffic()


async def test_the_base_model_is_there_before_startup_passes(replica: Replica) -> None:
    state = await replica.until(lambda state: state.model.ready)
    assert state.model.revision == replica.uri("acme/base").split("@")[1]
    assert (await replica.call("GET", "/startupz", token=""))[0] == 200
    (folder,) = (replica.folder / "models").iterdir()
    assert (folder / "config.json").exists()
    assert (replica.folder / "run/lorikeet_guard.py").read_text().startswith('"""The lock on an engine')


async def test_a_model_that_cannot_be_fetched_is_said_and_startup_waits(replica: Replica) -> None:
    await replica.stop_agent()
    await replica.start_agent(model_uri="hf://acme/none@" + "0" * 40)
    state = await replica.until(lambda state: state.model.reason == Reason.SOURCE_NOT_FOUND)
    assert state.model.message.startswith("the base model: the hub has no acme/none")
    assert (await replica.call("GET", "/startupz", token=""))[0] == 503


async def test_a_new_version_is_loaded_before_the_old_one_is_dropped(replica: Replica) -> None:
    old, new = replica.publish("acme/pirate", "v1"), replica.publish("acme/pirate", "v2")
    await replica.want(pirate(old))
    first = await replica.row("pirate", "Loaded")
    await replica.want(pirate(old), pirate(new))
    both = await replica.until(lambda state: states(state) == [("pirate", "Loaded")] * 2)
    assert len({row.engine_name for row in both.adapters}) == 2
    await replica.want(pirate(new))
    state = await replica.until(lambda state: [row.uri for row in state.adapters] == [new])
    assert replica.loaded() == [state.adapters[0].engine_name] != [first.engine_name]
    await eventually(lambda: replica.stored() == [state.adapters[0].digest])


async def test_what_is_only_kept_is_staged_and_loaded_later_without_the_hub(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri, load=False))
    row = await replica.row("pirate", "Staged")
    assert (replica.loaded(), replica.stored()) == ([], [row.digest])
    replica.hub.requests.clear()
    await replica.want(pirate(uri))
    await replica.row("pirate", "Loaded")
    await replica.want(pirate(uri, load=False))
    await replica.row("pirate", "Staged")
    assert (replica.loaded(), replica.stored(), replica.hub.requests) == ([], [row.digest], [])


async def test_nothing_waits_for_what_is_only_kept(replica: Replica) -> None:
    gone = "hf://acme/gone@" + "0" * 40
    replica.hub.faults.append(Fault(Kind.STATUS, "GET /api/models/acme/gone", times=10_000, status=503))
    await replica.want(pirate(gone, load=False), poet(replica.publish("acme/poet")))
    state = await replica.until(lambda state: states(state) == [("pirate", "Failed"), ("poet", "Loaded")])
    assert state.settled
    assert await replica.takes_traffic()


async def test_an_adapter_with_requests_in_flight_drains_before_it_is_unloaded(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate", seed=1)))
    row = await replica.row("pirate", "Loaded")
    replica.engine.core.counters.running.append(row.engine_name)
    await replica.want()
    draining = await replica.row("pirate", "Draining")
    assert draining.engine_name == row.engine_name
    await replica.want(poet(replica.publish("acme/poet")))
    await replica.row("poet", "Loaded")  # long after the grace
    assert row.engine_name in replica.loaded()
    replica.engine.core.counters.running.clear()
    await eventually(lambda: row.engine_name not in replica.loaded() and row.digest not in replica.stored())


async def test_draining_ends_at_its_deadline(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Loaded")
    replica.engine.core.counters.running.append(row.engine_name)
    await replica.want()
    await replica.until(lambda state: state.adapters == ())
    assert replica.loaded() == []


async def test_what_is_wanted_again_while_it_drains_stays(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri))
    row = await replica.row("pirate", "Loaded")
    replica.engine.core.counters.running.append(row.engine_name)
    await replica.want()
    await replica.row("pirate", "Draining")
    await replica.want(pirate(uri))
    await replica.row("pirate", "Loaded")
    replica.engine.core.counters.running.clear()
    assert replica.loaded() == [row.engine_name]


async def test_an_adapter_dropped_during_its_fetch_leaves_nothing(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.until(lambda state: state.model.ready)
    replica.hub.faults.append(Fault(Kind.DRIP, "GET .*safetensors", pause=0.001))
    await replica.want(pirate(uri))
    await eventually(lambda: any("adapter_model.safetensors" in asked for asked in replica.hub.requests))
    await replica.want()
    await replica.until(lambda state: state.adapters == () and state.settled)
    await eventually(lambda: list((replica.folder / "adapters/incoming").iterdir()) == [])
    assert replica.stored() == []
    assert replica.loaded() == []


@pytest.mark.parametrize(
    ("broken", "reason", "words"),
    [
        ("rank-too-high", Reason.RANK_TOO_HIGH, "adapter pirate has rank 64, server qwen allows 16: raise"),
        ("wrong-base", Reason.WRONG_BASE_MODEL, "serve it on its own base model"),
        ("wrong-sizes", Reason.WRONG_BASE_MODEL, "serve it on its own base model"),
        ("pickle-only", Reason.UNSAFE_FORMAT, "pickled weights only"),
        ("dora", Reason.UNSUPPORTED_ADAPTER, "uses DoRA"),
        ("with-bias", Reason.UNSUPPORTED_ADAPTER, "uses bias"),
        ("with-saved-modules", Reason.UNSUPPORTED_ADAPTER, "uses modules_to_save"),
        ("no-effect", Reason.NO_EFFECT, "changes nothing"),
        ("unknown-modules", Reason.NO_EFFECT, "matches no module"),
        ("no-config", Reason.INVALID_ADAPTER, "has no adapter_config.json"),
        ("no-weights", Reason.INVALID_ADAPTER, "has no adapter_model.safetensors"),
        ("cut-short", Reason.INVALID_ADAPTER, "is no valid safetensors file"),
        ("config-is-no-json", Reason.INVALID_ADAPTER, "adapter_config.json cannot be used"),
    ],
)
async def test_a_broken_adapter_fails_for_good_before_the_engine_hears_of_it(
    replica: Replica, broken: str, reason: Reason, words: str
) -> None:
    uri = replica.publish("acme/bad", build=BROKEN[broken])
    await replica.want(pirate(uri))
    row = await replica.row("pirate", "Failed")
    assert (row.reason, row.lasting) == (reason, True)
    assert words in row.message
    assert row.message.startswith("adapter pirate")
    assert (await replica.until(lambda state: state.settled)).engine == "Healthy"
    assert replica.loaded() == []
    await eventually(lambda: replica.stored() == [] == list((replica.folder / "adapters/incoming").iterdir()))


async def test_every_broken_adapter_has_its_row_above() -> None:
    (mark,) = test_a_broken_adapter_fails_for_good_before_the_engine_hears_of_it.pytestmark  # type: ignore[attr-defined]
    assert {row[0] for row in mark.args[1]} == set(BROKEN)


async def test_a_broken_adapter_does_not_hold_others_back(replica: Replica) -> None:
    bad = replica.publish("acme/bad", build=BROKEN["no-effect"])
    await replica.want(pirate(bad), poet(replica.publish("acme/poet")))
    state = await replica.until(lambda state: state.settled)
    assert states(state) == [("pirate", "Failed"), ("poet", "Loaded")]


async def test_other_bytes_than_insisted_on_are_refused(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri, sha256="0" * 64))
    row = await replica.row("pirate", "Failed")
    assert (row.reason, row.lasting) == (Reason.DIGEST_MISMATCH, True)
    await replica.want(pirate(uri, sha256=row.digest))
    assert (await replica.row("pirate", "Loaded")).digest == row.digest
    await replica.want(pirate(uri, sha256="1" * 64))
    await replica.row("pirate", "Failed")
    await eventually(lambda: replica.loaded() == [])


async def test_two_adapters_of_one_source_share_its_files(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri), poet(uri))
    state = await replica.until(lambda state: state.settled)
    assert replica.loaded() == [row.engine_name for row in state.adapters]
    assert len(replica.stored()) == 1
    await replica.want(poet(uri))
    await replica.until(lambda state: states(state) == [("poet", "Loaded")])
    assert len(replica.stored()) == 1


async def test_a_hub_that_fails_for_a_while_is_asked_again(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    replica.hub.faults.append(Fault(Kind.STATUS, "GET /api/models/acme/pirate", times=3))
    await replica.want(pirate(uri))
    row = await replica.row("pirate", "Failed")
    assert (row.reason, row.lasting) == (Reason.SOURCE_UNAVAILABLE, False)
    await replica.row("pirate", "Loaded")


async def test_a_source_that_says_no_is_asked_seldom_and_a_new_entry_at_once(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    (replica.folder / "hub/acme/pirate/.access").write_text('{"gated": true, "tokens": ["hf_secret"]}')
    await replica.want(pirate(uri))
    row = await replica.row("pirate", "Failed")
    assert (row.reason, row.lasting) == (Reason.SOURCE_GATED, True)
    asked = [request for request in replica.hub.requests if "pirate" in request]
    await replica.want(pirate(uri), poet(replica.publish("acme/poet")))
    await replica.row("poet", "Loaded")  # many looks later
    assert [request for request in replica.hub.requests if "pirate" in request] == asked
    await replica.want(pirate(uri, credentials_key="acme"))
    await replica.until(lambda state: state.adapters[0].reason == Reason.CREDENTIALS_MISSING)
    (replica.folder / "sources").mkdir()
    (replica.folder / "sources/acme").write_text("hf_secret")
    await replica.want()
    await replica.want(pirate(uri, credentials_key="acme"))
    await replica.row("pirate", "Loaded")
    assert "hf_secret" not in (await replica.state()).model_dump_json()


async def test_an_engine_that_refuses_bytes_is_believed(replica: Replica) -> None:
    replica.engine.faults.refuse_load = (500, "no such module")
    await replica.want(pirate(replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Failed")
    assert (row.reason, row.lasting) == (Reason.LOAD_FAILED, True)
    assert "no such module" in row.message
    replica.engine.faults.refuse_load = None
    await replica.engine.restart()  # another life may think otherwise
    await replica.row("pirate", "Loaded")


async def test_adapters_of_nobody_in_the_engine_are_unloaded_and_foreign_ones_stay(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri))
    row = await replica.row("pirate", "Loaded")
    path = replica.engine.core.adapters[row.engine_name].path
    await replica.engine.core.load("ghost@000000000000", path)
    await replica.engine.core.load("foreign", replica.folder / "hub/acme/pirate/v1")
    await replica.stop_agent()
    await replica.start_agent()
    await eventually(lambda: replica.loaded() == ["foreign", row.engine_name])


async def test_an_agent_that_was_never_told_anything_unloads_nothing(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Loaded")
    await replica.stop_agent()
    (replica.folder / "adapters/wanted.json").unlink()
    await replica.start_agent()
    state = await replica.until(lambda state: state.settled)
    assert state.wanted == ""
    assert replica.loaded() == [row.engine_name]
    assert len(replica.stored()) == 1


async def test_a_later_adapter_does_not_take_a_serving_replica_out(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    await replica.until(lambda state: state.settled)
    replica.engine.faults.loads.clear()
    await replica.want(pirate(replica.uri("acme/pirate")), poet(replica.publish("acme/poet")))
    await replica.row("poet", "Loading")
    assert await replica.takes_traffic()
    replica.engine.faults.loads.set()


async def test_a_source_that_is_away_does_not_keep_a_new_replica_out_for_ever(replica: Replica) -> None:
    replica.hub.faults.append(Fault(Kind.STATUS, "GET /api/models/acme/gone", times=10_000, status=503))
    await replica.want(pirate("hf://acme/gone@" + "0" * 40), poet(replica.publish("acme/poet")))
    await replica.row("poet", "Loaded")
    await eventually(replica.takes_traffic)
    assert not (await replica.state()).settled


async def test_an_agent_without_an_operator_becomes_ready_after_a_while(replica: Replica) -> None:
    state = await replica.until(lambda state: state.settled)
    assert (state.wanted, state.adapters) == ("", ())


async def test_a_changed_inference_key_is_handed_on(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    await replica.stop_agent()
    monkeypatch.setattr("lorikeet.agent.agent.REFRESH", 0.01)
    await replica.start_agent()
    (replica.folder / "keys/inference-key").write_text("another")
    await eventually(lambda: (replica.folder / "run/inference-key").read_text() == "another")
