"""What statuses say, and how soon."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorikeet.api.conditions import Condition, Problem, Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.controller.carry_out import Done
from lorikeet.controller.layout import lay_out
from lorikeet.controller.report import AT_LEISURE, AT_ONCE, BEAT, FOR_EACH, FOR_FIRST, LATER, LATEST, Tell, report
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.report_server import server_status
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.testing import builders as b


def status_of(adapter: Adapter, seen: Seen, now: str = b.NOW) -> LoRAAdapterStatus:
    return adapter_status(adapter, seen, lay_out(seen), now)


def server_says(seen: Seen, *, applied: bool = False) -> ModelServerStatus:
    assert seen.server
    return server_status(seen.server, seen, lay_out(seen), 0, Done(applied=applied), b.NOW)


def tells(seen: Seen) -> tuple[Tell, ...]:
    return report(seen, lay_out(seen), Done(), b.NOW)


def ready(adapter: Adapter, *replicas: Replica) -> Condition:
    return status_of(adapter, b.seen([adapter], replicas)).conditions[0]


def failed(reason: Reason, message: str, **more: object) -> Replica:
    return b.replica("a", b.entry(state=State.FAILED, reason=reason, message=message, lasting=True, **more))


def test_ready_when_every_replica_that_takes_requests_has_it() -> None:
    found = ready(b.adapter(), b.replica("a", b.entry()), b.replica("b", b.entry()))
    assert (found.status, found.reason) == ("True", "Ready")
    assert found.message == "2 of 2 replicas serve revision 111111111111"


def test_not_ready_while_a_replica_that_takes_requests_lacks_it() -> None:
    found = ready(b.adapter(), b.replica("a", b.entry()), b.replica("b"))
    assert (found.status, found.reason) == ("False", "Fetching")


def test_a_replica_that_takes_no_requests_yet_does_not_spoil_ready() -> None:
    starting = b.replica("b", ready=False, state=None)
    status = status_of(b.adapter(), b.seen([b.adapter()], [b.replica("a", b.entry()), starting]))
    loaded = next(condition for condition in status.conditions if condition.type == "Loaded")
    assert loaded.status == "True"
    assert (status.ready_replicas, status.desired_replicas) == (1, 2)


def test_the_public_name_keeps_its_version_until_the_new_one_is_everywhere() -> None:
    old = b.told()
    changed = b.adapter(source={"uri": b.source_uri("sql", b.COMMIT_2)}, told=old)
    half = [b.replica("a", b.entry(), b.entry(commit=b.COMMIT_2)), b.replica("b", b.entry())]
    assert status_of(changed, b.seen([changed], half)).engine_name == b.entry().engine_name
    whole = [half[0], b.replica("b", b.entry(), b.entry(commit=b.COMMIT_2))]
    assert status_of(changed, b.seen([changed], whole)).engine_name == b.entry(commit=b.COMMIT_2).engine_name


def test_a_failed_new_version_says_that_the_old_one_still_answers() -> None:
    old = b.told()
    changed = b.adapter(source={"uri": b.source_uri("sql", b.COMMIT_2)}, told=old)
    broken = b.entry(commit=b.COMMIT_2, state=State.FAILED, reason=Reason.RANK_TOO_HIGH, message="rank 64, allowed 16")
    found = ready(changed, b.replica("a", b.entry(), broken))
    assert found.reason == "RankTooHigh"
    assert found.message.startswith("rank 64, allowed 16; version sql@")


@pytest.mark.parametrize(
    ("reason", "condition", "digest"),
    [
        (Reason.SOURCE_NOT_FOUND, "Staged", ""),
        (Reason.UNSAFE_FORMAT, "Staged", ""),
        (Reason.RANK_TOO_HIGH, "Compatible", b.digest_of("x")),
        (Reason.WRONG_BASE_MODEL, "Compatible", b.digest_of("x")),
        (Reason.LOAD_FAILED, "Loaded", b.digest_of("x")),
    ],
)
def test_a_broken_adapter_says_why_in_the_condition_it_concerns(reason: Reason, condition: str, digest: str) -> None:
    seen = b.seen([b.adapter()], [failed(reason, "the sentence", digest=digest)])
    conditions = {each.type: each for each in status_of(b.adapter(), seen).conditions}
    assert (conditions[condition].status, conditions[condition].reason) == ("False", reason)
    assert (conditions["Ready"].reason, conditions["Ready"].message) == (reason, "the sentence")


def test_a_missing_server_is_named_with_the_next_step() -> None:
    alone = Seen(b.SERVER, None, (b.adapter(),), (), holders={"sql": b.adapter().ref})
    found = status_of(b.adapter(), alone).conditions[0]
    assert found.reason == "ServerNotFound"
    assert found.message == (
        "adapter sql names server qwen, which is not in namespace default: create it or name another in "
        "spec.modelServerRef"
    )


def test_the_younger_of_two_says_who_holds_the_name() -> None:
    older = b.adapter("first", name="shared", created="2025-01-01T00:00:00Z")
    younger = b.adapter("second", name="shared")
    found = status_of(younger, b.seen([older, younger], [b.replica("a")]))
    assert found.conditions[0].reason == "NameConflict"
    assert "belongs to the older adapter first" in found.conditions[0].message
    assert found.names == ()


def test_a_source_that_cannot_be_resolved_says_so() -> None:
    problem = Problem(reason=Reason.SOURCE_NOT_FOUND, message="hf://acme/sql is not on the hub", lasting=True)
    moving = replace(b.adapter(source={"uri": "hf://acme/sql@main"}), answer=problem, asking=True)
    found = ready(moving, b.replica("a"))
    assert (found.reason, found.message) == ("SourceNotFound", "hf://acme/sql is not on the hub")


def test_while_no_agent_answers_yet_an_adapter_waits_and_nobody_is_warned() -> None:
    unheard = Problem(reason=Reason.AGENT_UNREACHABLE, message="no replica's agent answers yet")
    waiting = replace(b.adapter(source={"uri": "hf://acme/sql@main"}), answer=unheard, asking=True)
    silent = replace(b.replica("a"), state=None, ready=False)
    told = tells(b.seen([waiting], [silent]))[0]
    assert (told.turned and told.turned.reason, told.warning) == ("WaitingForEngine", None)


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = status_of(b.adapter(), b.seen([b.adapter()], [b.replica("a", b.entry())]), "2026-01-01T00:00:00Z")
    again = b.adapter(told=first)
    later = status_of(again, b.seen([again], [b.replica("a", b.entry())]), "2026-02-02T00:00:00Z")
    assert later == first
    lost = status_of(again, b.seen([again], [b.replica("a")]), "2026-02-02T00:00:00Z")
    assert lost.conditions[0].last_transition_time == "2026-02-02T00:00:00Z"


def tell_of(before: LoRAAdapterStatus, *replicas: Replica) -> Tell:
    adapter = b.adapter(told=before)
    return next(tell for tell in tells(b.seen([adapter], replicas)) if tell.ref == adapter.ref)


@pytest.mark.parametrize(
    ("before", "after", "delay"),
    [
        ([], [b.replica("a", b.entry())], AT_ONCE),
        ([b.replica("a", b.entry())], [b.replica("a")], AT_ONCE),
        ([b.replica("a")], [b.replica("a", b.entry(state=State.FETCHING))], LATER),
        ([b.replica("a"), b.replica("b")], [b.replica("a", b.entry()), b.replica("b")], AT_ONCE),
        ([b.replica("a", b.entry()), b.replica("b")], [b.replica("a"), b.replica("b")], AT_ONCE),
        (
            [b.replica("a", b.entry()), b.replica("b"), b.replica("c")],
            [b.replica("a", b.entry()), b.replica("b", b.entry()), b.replica("c")],
            LATER,
        ),
        (
            [b.replica("a", b.entry()), b.replica("b", b.entry())],
            [b.replica("a", b.entry()), b.replica("b", b.entry(), ready=False)],
            AT_LEISURE,
        ),
    ],
    ids=["the only replica", "lost", "progress", "first replica", "lost on one", "one more replica", "out of service"],
)
def test_what_routes_is_told_at_once_and_progress_later(
    before: list[Replica], after: list[Replica], delay: float
) -> None:
    first = status_of(b.adapter(), b.seen([b.adapter()], before))
    assert tell_of(first, *after).delay == delay


@pytest.mark.parametrize(("many", "wait"), [(2, LATER), (100, FOR_EACH * 99), (1000, LATEST)])
def test_the_progress_of_many_waits_until_most_of_them_are_ready(many: int, wait: float) -> None:
    before = status_of(b.adapter(), b.seen([b.adapter()], [b.replica("a")]))
    adapters = [b.adapter(f"a{number}", told=before) for number in range(many)]
    staged = [b.entry(adapter.ref.name, state=State.FETCHING) for adapter in adapters[1:]]
    found = tells(b.seen(adapters, [b.replica("a", b.entry("a0"), *staged)]))
    delays = {tell.ref.name: tell.delay for tell in found}
    assert delays["a0"] == AT_ONCE
    assert {delays[adapter.ref.name] for adapter in adapters[1:]} == {wait}


@pytest.mark.parametrize(("others", "wait"), [(0, AT_ONCE), (5, FOR_FIRST * 5), (100, BEAT)])
def test_the_first_replica_of_one_among_many_waits_for_the_others_agents(others: int, wait: float) -> None:
    replicas = [b.replica("a"), b.replica("b")]
    before = status_of(b.adapter(), b.seen([b.adapter()], replicas))
    adapters = [b.adapter(f"a{number}", told=before) for number in range(others + 1)]
    fetching = [b.entry(adapter.ref.name, state=State.FETCHING) for adapter in adapters[1:]]
    server = b.server(lora={"maxLoras": 1, "maxCpuLoras": others + 1})
    found = tells(b.seen(adapters, [b.replica("a", b.entry("a0"), *fetching), b.replica("b", *fetching)], server))
    assert next(tell.delay for tell in found if tell.ref.name == "a0") == pytest.approx(wait)


def test_a_new_failure_is_worth_an_event_and_the_same_again_is_not() -> None:
    broken = failed(Reason.NO_EFFECT, "no module of adapter sql matches")
    first = tell_of(LoRAAdapterStatus(), broken)
    assert first.warning
    assert first.warning.reason == "NoEffect"
    assert isinstance(first.status, LoRAAdapterStatus)
    assert tell_of(first.status.model_copy(update={"rank": 99}), broken).warning is None


def test_nothing_is_said_before_every_ready_replica_was_asked() -> None:
    unasked = b.replica("a", state=None, asked=False)
    assert tells(b.seen([b.adapter()], [unasked])) == ()


def test_gateways_hear_of_replicas_before_they_hear_who_is_ready_on_them() -> None:
    lost = b.adapter(
        "lost", told=status_of(b.adapter("lost"), b.seen([b.adapter("lost")], [b.replica("a", b.entry("lost"))]))
    )
    seen = b.seen([b.adapter("found"), lost], [b.replica("a", b.entry("found"))])
    assert [tell.ref.name for tell in tells(seen)] == ["lost", b.SERVER.name, "found"]


def test_a_server_counts_its_replicas_and_names_the_trouble() -> None:
    problem = Problem(reason=Reason.UNSCHEDULABLE, message="pod b finds no node: Insufficient nvidia.com/gpu")
    seen = b.seen([], [b.replica("a"), b.replica("b", ready=False, state=None, problem=problem)])
    status = server_says(seen)
    conditions = {each.type: each for each in status.conditions}
    assert conditions["Available"].status == "True"
    assert conditions["Ready"].reason == "Unschedulable"
    assert conditions["Ready"].message.endswith("Insufficient nvidia.com/gpu")
    assert [(endpoint.pod, endpoint.ready) for endpoint in status.endpoints] == [("a", True), ("b", False)]


@pytest.mark.parametrize(
    ("engine", "said"),
    [("Starting", "is starting"), ("Unreachable", "does not answer"), ("Hung", "hangs: requests wait for it and no")],
)
def test_a_replica_whose_engine_is_not_well_is_not_routed_and_says_so(engine: str, said: str) -> None:
    seen = b.seen([], [b.replica("a", state=b.agent_state(engine=engine))])
    status = server_says(seen)
    assert status.endpoints[0].ready is False
    assert f"a's engine {said}" in status.conditions[0].message


def test_a_server_is_not_ready_before_every_pod_is_of_the_new_template() -> None:
    def reason(*replicas: Replica, applied: bool = False) -> str:
        return server_says(b.seen([], replicas), applied=applied).conditions[0].reason

    assert reason(b.replica("a"), b.replica("b")) == "Ready"
    assert reason(b.replica("a"), b.replica("b", current=False)) == "RollingOut"
    assert reason(b.replica("a"), b.replica("b"), applied=True) == "RollingOut"
