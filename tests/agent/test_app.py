"""The agent's HTTP: who is let in, which sets are taken, how long a poll waits."""

from __future__ import annotations

import asyncio

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.api.wire import AgentState, Wanted, WantedAdapter
from lorikeet.testing.hub import Fault, Kind
from lorikeet.testing.replica import TOKEN, Replica


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN[:-1], "ä"])
async def test_nobody_without_the_token_is_let_in(replica: Replica, token: str) -> None:
    for method, path in (("GET", "/v1/state"), ("PUT", "/v1/wanted"), ("POST", "/v1/resolve"), ("GET", "/v1/else")):
        assert (await replica.call(method, path, {}, token=token))[0] == 401


async def test_without_a_token_in_the_secret_nobody_is_let_in(replica: Replica) -> None:
    (replica.folder / "keys/agent-token").write_text("\n")
    assert (await replica.call("GET", "/v1/state", token=""))[0] == 401
    assert (await replica.call("GET", "/v1/state"))[0] == 401


async def test_probes_and_metrics_are_open(replica: Replica) -> None:
    await replica.until(lambda state: state.settled)
    for path in ("/healthz", "/startupz", "/readyz"):
        assert await replica.call("GET", path, token="") == (200, "ok\n")
    status, text = await replica.call("GET", "/metrics", token="")
    assert status == 200
    assert 'lorikeet_agent_adapters{state="Loaded"} 0.0' in text


async def test_a_set_of_an_older_leader_is_refused(replica: Replica) -> None:
    assert (await replica.call("PUT", "/v1/wanted", Wanted(epoch=7).dump()))[0] == 200
    status, body = await replica.call("PUT", "/v1/wanted", Wanted(epoch=6).dump())
    assert (status, body["epoch"]) == (409, 7)
    await replica.stop_agent()
    await replica.start_agent()
    assert (await replica.call("PUT", "/v1/wanted", Wanted(epoch=6).dump()))[0] == 409
    assert (await replica.call("PUT", "/v1/wanted", Wanted(epoch=7).dump()))[0] == 200


async def test_the_state_names_the_set_it_works_on(replica: Replica) -> None:
    adapter = WantedAdapter(adapter="pirate", uri=replica.publish("acme/pirate"))
    replica.epoch = 3
    name = await replica.want(adapter)
    assert name == Wanted(adapters=(adapter,)).id
    state = await replica.until(lambda state: state.wanted != "")
    assert (state.wanted, state.epoch) == (name, 3)


@pytest.mark.parametrize("body", [[], {"adapters": 5}, {"adapters": [{"adapter": "x"}]}, {"epoch": "x"}])
async def test_what_is_no_set_is_refused(replica: Replica, body: object) -> None:
    assert (await replica.call("PUT", "/v1/wanted", body))[0] == 400


async def test_a_poll_answers_when_something_changes(replica: Replica) -> None:
    settled = await replica.until(lambda state: state.settled)
    poll = asyncio.create_task(replica.call("GET", f"/v1/state?since={settled.seq}&wait=9"))
    await replica.want(WantedAdapter(adapter="pirate", uri=replica.publish("acme/pirate")))
    changed = AgentState.parse((await poll)[1])
    assert changed.seq > settled.seq
    assert changed.life == settled.life


async def test_a_poll_answers_at_once_to_who_counts_in_another_life(replica: Replica) -> None:
    async with asyncio.timeout(5):
        status, _ = await replica.call("GET", "/v1/state?since=99999&wait=60")
    assert status == 200


async def test_a_poll_ends_without_a_change(replica: Replica) -> None:
    settled = await replica.until(lambda state: state.settled)
    same = AgentState.parse((await replica.call("GET", f"/v1/state?since={settled.seq}&wait=0.1"))[1])
    assert same == settled


async def test_since_stays_while_a_state_stays(replica: Replica) -> None:
    await replica.want(WantedAdapter(adapter="pirate", uri=replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Loaded")
    await replica.engine.restart()
    again = await replica.until(lambda state: state.settled and state.adapters[0].state == "Loaded")
    assert len(row.since) == len("2026-01-01T00:00:00Z")
    assert again.adapters[0].since >= row.since


async def test_a_source_is_resolved_to_a_commit(replica: Replica) -> None:
    pinned = replica.publish("acme/pirate", "v1")
    status, body = await replica.call("POST", "/v1/resolve", {"uri": "hf://acme/pirate@v1"})
    assert (status, body) == (200, {"uri": pinned, "revision": pinned.split("@")[1]})


@pytest.mark.parametrize(
    ("uri", "key", "status", "reason"),
    [
        ("hf://acme/none", None, 422, Reason.SOURCE_NOT_FOUND),
        ("hf://acme/pirate@v9", None, 422, Reason.REVISION_NOT_FOUND),
        ("hf://acme/pirate", "missing", 422, Reason.CREDENTIALS_MISSING),
        ("s3://acme/pirate", None, 422, Reason.INVALID_SOURCE),
    ],
)
async def test_a_source_that_cannot_be_resolved_is_a_problem(
    replica: Replica, uri: str, key: str | None, status: int, reason: Reason
) -> None:
    replica.publish("acme/pirate")
    ask = {"uri": uri} | ({"credentialsKey": key} if key else {})
    answered, body = await replica.call("POST", "/v1/resolve", ask)
    assert (answered, body["reason"], body["lasting"]) == (status, reason, True)


async def test_a_hub_that_limits_us_is_a_problem_for_later(replica: Replica) -> None:
    replica.publish("acme/pirate")
    headers = (("Retry-After", "17"),)
    replica.hub.faults.append(Fault(Kind.STATUS, "GET /api/models/acme/pirate", status=429, headers=headers))
    status, body = await replica.call("POST", "/v1/resolve", {"uri": "hf://acme/pirate"})
    assert (status, body["reason"], body["lasting"]) == (503, Reason.SOURCE_RATE_LIMITED, False)
