"""What a pass decides, from tables of facts; and that it is stable, whatever the order."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, PinnedSource, State
from lorikeet.api.modelserver import Endpoint, ModelServerStatus
from lorikeet.api.wire import AdapterState, Resolved, Wanted, WantedAdapter
from lorikeet.controller.actions import Apply, Plan, Push, Resolve
from lorikeet.controller.decide import decide
from lorikeet.controller.layout import lay_out
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.rollout import answering
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import loaded
from lorikeet.controller.workload import children
from lorikeet.testing import builders as b

INSTALLATION = b.installation()


def rendered(seen: Seen) -> Seen:
    """The same with every child as it shall be."""
    assert seen.server
    kinds = {child.resource.kind: child.fingerprint for child in children(seen.server, INSTALLATION)}
    return replace(seen, server=replace(seen.server, rendered=kinds))


def decided(seen: Seen) -> Plan:
    return decide(seen, lay_out(seen), INSTALLATION)


def plan(adapters: list[Adapter], replicas: list[Replica]) -> Plan:
    return decided(rendered(b.seen(adapters, replicas)))


def pushed(found: Plan) -> dict[str, set[tuple[str, str]]]:
    """Pod → adapter and commit of what it is told to load."""
    return {
        action.pod: {(entry.adapter, entry.uri.rsplit("@")[-1]) for entry in action.wanted.adapters if entry.load}
        for action in found.actions
        if isinstance(action, Push)
    }


def test_a_new_server_gets_its_keys_before_the_pods_that_mount_them() -> None:
    found = decided(b.seen([], []))
    kinds = [action.resource.kind for action in found.actions if isinstance(action, Apply)]
    assert kinds == ["Secret", "Service", "PodDisruptionBudget", "Deployment"]


def test_a_server_as_it_shall_be_is_left_alone() -> None:
    assert plan([], []) == Plan()


def test_an_adapter_goes_to_every_replica_whose_agent_answers() -> None:
    replicas = [b.replica("a"), b.replica("b"), b.replica("c", state=None)]
    assert pushed(plan([b.adapter("sql")], replicas)) == {"a": {("sql", b.COMMIT_1)}, "b": {("sql", b.COMMIT_1)}}


def test_with_replicas_set_only_so_many_hold_it() -> None:
    found = pushed(plan([b.adapter("sql", replicas=1)], [b.replica("a"), b.replica("b")]))
    assert sorted(map(len, found.values())) == [1] or sorted(map(len, found.values())) == [0, 1]


def test_a_moving_source_is_resolved_once_and_not_asked_for_again() -> None:
    moving = b.adapter("sql", source={"uri": "hf://acme/sql@main"})
    asked = [action for action in plan([moving], []).actions if isinstance(action, Resolve)]
    assert [action.uri for action in asked] == ["hf://acme/sql@main"]
    assert plan([replace(moving, asking=True)], []) == Plan()


def test_a_pinned_revision_that_is_gone_from_its_source_is_resolved_anew() -> None:
    pin = PinnedSource(uri="hf://acme/sql@main", revision=b.COMMIT_1)
    moving = b.adapter("sql", source={"uri": "hf://acme/sql@main"}, told=LoRAAdapterStatus(pin=pin))
    gone = b.entry(state=State.FAILED, reason=Reason.REVISION_NOT_FOUND)
    found = plan([moving], [b.replica("a", gone)])
    assert [action.uri for action in found.actions if isinstance(action, Resolve)] == ["hf://acme/sql@main"]
    assert not [action for action in plan([moving], [b.replica("a", b.entry())]).actions if isinstance(action, Resolve)]


def test_an_unresolved_adapter_takes_nothing_from_what_serves() -> None:
    moved = b.adapter("sql", source={"uri": "hf://acme/sql@main"}, told=b.told(b.COMMIT_1))
    found = pushed(plan([replace(moved, asking=True)], [b.replica("a", b.entry())]))
    assert found == {"a": {("sql", b.COMMIT_1)}}


def test_a_new_version_is_wanted_beside_the_old_one() -> None:
    changed = b.adapter("sql", source={"uri": b.source_uri("sql", b.COMMIT_2)}, told=b.told(b.COMMIT_1))
    found = pushed(plan([changed], [b.replica("a", b.entry())]))
    assert found == {"a": {("sql", b.COMMIT_1), ("sql", b.COMMIT_2)}}


def test_the_old_version_stays_on_every_replica_until_the_new_one_is_on_all() -> None:
    changed = b.adapter("sql", source={"uri": b.source_uri("sql", b.COMMIT_2)}, told=b.told(b.COMMIT_1))
    replicas = [b.replica("a", b.entry(), b.entry(commit=b.COMMIT_2)), b.replica("b", b.entry())]
    both = {("sql", b.COMMIT_1), ("sql", b.COMMIT_2)}
    assert pushed(plan([changed], replicas)) == {"a": both, "b": both}


def test_an_adapter_that_no_object_wants_is_dropped() -> None:
    stale = Wanted(adapters=(WantedAdapter(adapter="sql", uri=b.source_uri("sql")),))
    here = b.replica("a", state=b.agent_state(b.entry(), wanted=stale))
    assert pushed(plan([], [here])) == {"a": set()}


def test_an_adapter_that_cannot_be_read_stays_as_it_is() -> None:
    here = b.replica("a", b.entry("newer"), b.entry("newer", b.COMMIT_2, State.STAGED), b.entry("gone"))
    found = replace(rendered(b.seen([b.adapter()], [here])), unread=frozenset({"newer"}))
    [push] = [action for action in decided(found).actions if isinstance(action, Push)]
    assert {(entry.adapter, entry.uri[-1], entry.load) for entry in push.wanted.adapters} == {
        ("newer", "1", True),
        ("newer", "2", False),
        ("sql", "1", True),
    }


BRANCH = {"uri": "hf://acme/sql@main"}


def test_what_replicas_have_stays_until_it_is_known_which_version_a_new_object_means() -> None:
    """An operator died after the load and before it told anybody: its successor asks what the branch means."""
    held = Wanted(adapters=(WantedAdapter(adapter="sql", uri=b.source_uri("sql")),))
    here = b.replica("a", state=b.agent_state(b.entry(), wanted=held))
    asking = b.adapter("sql", source=BRANCH)
    away = Problem(reason=Reason.SOURCE_UNAVAILABLE, message="the hub is away")
    for unknown in (asking, replace(asking, answer=away)):
        assert pushed(plan([unknown], [here])) == {}
        found = b.seen([unknown], [here])
        status = adapter_status(unknown, found, lay_out(found), b.NOW)
        assert (status.replicas, status.engine_name, status.ready_replicas) == ((), "", 0)
    known = replace(asking, answer=Resolved(uri=b.source_uri("sql"), revision=b.COMMIT_1))
    assert pushed(plan([known], [here])) == {}


def test_what_replicas_have_goes_where_a_new_object_means_nothing_that_there_is() -> None:
    held = Wanted(adapters=(WantedAdapter(adapter="sql", uri=b.source_uri("sql")),))
    here = b.replica("a", state=b.agent_state(b.entry(), wanted=held))
    gone = Problem(reason=Reason.SOURCE_NOT_FOUND, message="the hub has no acme/sql", lasting=True)
    assert pushed(plan([replace(b.adapter("sql", source=BRANCH), answer=gone)], [here])) == {"a": set()}


def test_an_adapter_whose_name_another_holds_is_not_loaded() -> None:
    older = b.adapter("first", name="shared", created="2025-01-01T00:00:00Z")
    younger = b.adapter("second", name="shared")
    assert pushed(plan([younger, older], [b.replica("a")])) == {"a": {("first", b.COMMIT_1)}}


def test_an_adapter_named_like_the_base_model_is_not_loaded() -> None:
    assert pushed(plan([b.adapter("sql", name="base")], [b.replica("a", state=b.agent_state())])) == {"a": set()}


def test_a_refused_argument_stops_the_rendering_but_not_the_adapters() -> None:
    server = b.server(engine={"profile": "CPU", "extraArgs": ["--trust-remote-code"]})
    found = decided(b.seen([b.adapter()], [b.replica("a")], server))
    assert [type(action) for action in found.actions] == [Push]


COMMITS = (b.COMMIT_1, b.COMMIT_2)
NAMES = ("sql", "poet", "chat")
STATES = (State.LOADED, State.LOADED, State.STAGED, State.FETCHING, State.FAILED, State.DRAINING)


@st.composite
def facts(draw: st.DrawFn) -> Seen:
    """Servers with any mixture of wanted, told and loaded versions, and more or fewer slots."""
    pods = sorted(draw(st.sets(st.sampled_from("abc"))))
    adapters = []
    for name in sorted(draw(st.sets(st.sampled_from(NAMES)))):
        spec = {"source": {"uri": b.source_uri(name, draw(st.sampled_from(COMMITS)))}}
        if draw(st.booleans()):
            spec["replicas"] = draw(st.integers(0, 3))  # type: ignore[assignment]
        heard = draw(st.sampled_from([None, *COMMITS]))
        rows = draw(st.sets(st.tuples(st.sampled_from(pods), st.sampled_from(COMMITS)))) if pods else set()
        adapters.append(b.adapter(name, told=b.told(heard, name, rows) if heard else None, **spec))
    replicas = []
    for pod in pods:
        held = [
            b.entry(name, commit, draw(st.sampled_from(STATES)), lasting=draw(st.booleans()))
            for name in NAMES
            for commit in COMMITS
            if draw(st.booleans())
        ]
        replicas.append(b.replica(pod, *held) if draw(st.booleans()) else b.replica(pod, state=None, ready=False))
    server = b.server(lora={"maxLoras": 1, "maxCpuLoras": draw(st.integers(1, 4))})
    endpoints = tuple(Endpoint(pod=pod, address="", ready=draw(st.booleans())) for pod in pods)
    return rendered(b.seen(adapters, replicas, replace(server, told=ModelServerStatus(endpoints=endpoints))))


def carried_out(seen: Seen, found: Plan) -> Seen:
    """The same facts once every action has had its effect."""
    sets = {action.pod: action.wanted for action in found.actions if isinstance(action, Push)}

    def after(replica: Replica) -> Replica:
        wanted = sets.get(replica.pod)
        if wanted is None or replica.state is None:
            return replica
        old = {(entry.adapter, entry.uri): entry for entry in replica.state.adapters}
        entries = tuple(_now(old.get((one.adapter, one.uri)), one) for one in wanted.adapters)
        return replace(replica, state=replica.state.model_copy(update={"wanted": wanted.id, "adapters": entries}))

    return replace(seen, replicas=tuple(map(after, seen.replicas)))


def _now(entry: AdapterState | None, wanted: WantedAdapter) -> AdapterState:
    if entry is None:
        return b.entry(wanted.adapter, wanted.uri.rsplit("@")[-1], State.FETCHING)
    unloaded = entry.state is State.LOADED and not wanted.load
    return entry.model_copy(update={"state": State.STAGED}) if unloaded else entry


@given(facts())
@settings(max_examples=150, deadline=None)
def test_deciding_on_the_result_of_a_plan_gives_no_plan(seen: Seen) -> None:
    after = carried_out(seen, decided(seen))
    assert decided(after) == Plan()


@given(facts(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_order_of_facts_does_not_matter(seen: Seen, order: random.Random) -> None:
    shuffled = replace(
        seen,
        adapters=tuple(order.sample(seen.adapters, len(seen.adapters))),
        replicas=tuple(order.sample(seen.replicas, len(seen.replicas))),
    )
    assert set(map(str, decided(shuffled).actions)) == set(map(str, decided(seen).actions))
    assert pushed(decided(shuffled)) == pushed(decided(seen))


@given(facts())
@settings(max_examples=300, deadline=None)
def test_of_all_that_answers_for_an_adapter_as_gateways_know_something_stays(seen: Seen) -> None:
    layout = lay_out(seen)
    for adapter in seen.adapters:
        rows = {(row.pod, row.digest) for row in adapter.told.replicas}
        known = {
            (replica.pod, entry.uri)
            for replica in seen.replicas
            for entry in loaded(adapter, replica)
            if replica.pod in answering(adapter, seen) and (replica.pod, entry.digest) in rows
        }
        stays = {(pod, uri) for pod, uri in known if uri in layout.loads(adapter, pod)}
        assert stays or not known or not layout.place(adapter).homes
