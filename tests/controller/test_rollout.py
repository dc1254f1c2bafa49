"""Which versions each replica loads, keeps on disk, or lets go, from tables of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, ServedVersion, State
from lorikeet.api.wire import AdapterState
from lorikeet.controller.carry_out import Done
from lorikeet.controller.layout import lay_out
from lorikeet.controller.report import report
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.testing import builders as b

V1, V2, V3 = b.COMMIT_1, b.COMMIT_2, "3" * 40
OLD, NEW = b.entry(commit=V1), b.entry(commit=V2)
STAGED = b.entry(commit=V2, state=State.STAGED)
KEPT = b.entry(commit=V1, state=State.STAGED)
FAILED = b.entry(commit=V2, state=State.FAILED, reason=Reason.LOAD_FAILED, lasting=True)
LATER = "2026-01-02T00:00:00Z"


def seen(adapters: Sequence[Adapter], *replicas: Replica, slots: int = 8) -> Seen:
    return b.seen(adapters, replicas, b.server(lora={"maxLoras": 1, "maxCpuLoras": slots}))


def told(found: Seen) -> Seen:
    """The same after gateways were told of it."""
    assert found.server
    statuses = {tell.ref: tell.status for tell in report(found, lay_out(found), Done(), b.NOW)}
    adapters = [replace(each, told=statuses.get(each.ref, each.told)) for each in found.adapters]
    server = replace(found.server, told=statuses.get(found.server.ref, found.server.told))
    return replace(found, adapters=tuple(adapters), server=server)


def then(found: Seen, *replicas: Replica, **spec: Any) -> Seen:
    """What was told stays; the replicas, and the first adapter's spec, are others."""
    first, *rest = found.adapters
    changed = replace(b.adapter(first.ref.name, told=first.told, **spec), created=first.created)
    return replace(found, adapters=(changed, *rest), replicas=tuple(replicas))


def updating(*replicas: Replica, slots: int = 1, before: Sequence[Replica] = ()) -> Seen:
    """The source of sql was changed from V1, which every replica had, to V2."""
    first = told(seen([b.adapter()], *(before or [b.replica(each.pod, OLD) for each in replicas]), slots=slots))
    return then(first, *replicas, source={"uri": b.source_uri("sql", V2)})


def holds(found: Seen) -> dict[str, dict[str, bool]]:
    """Pod → first digit of the version → whether it shall be loaded; of sql alone."""
    return {
        pod: {entry.uri.rsplit("@", 1)[1][0]: entry.load for entry in share if entry.adapter == "sql"}
        for pod, share in lay_out(found).shares.items()
    }


BOTH, OLD_STAYS, SWAPPED, NEW_ALONE = (
    {"1": True, "2": True},
    {"1": True, "2": False},
    {"1": False, "2": True},
    {"2": True},
)


class TestSlotToSpare:
    def test_the_new_version_is_loaded_beside_the_old_one(self) -> None:
        assert holds(updating(b.replica("a", OLD), b.replica("b", OLD), slots=2)) == {"a": BOTH, "b": BOTH}

    def test_once_it_is_everywhere_and_told_the_old_one_is_only_kept_on_disk(self) -> None:
        found = updating(b.replica("a", OLD, NEW), b.replica("b", OLD, NEW), slots=2)
        assert holds(found) == {"a": BOTH, "b": BOTH}
        assert holds(told(found)) == {"a": SWAPPED, "b": SWAPPED}

    def test_slots_of_adapters_that_have_their_place_and_their_bytes_here_are_not_to_spare(self) -> None:
        other = b.adapter("other", created=LATER)

        def with_other(*of_other: AdapterState) -> Seen:
            replicas = [b.replica(pod, OLD, STAGED, *of_other) for pod in "ab"]
            found = updating(*replicas, slots=2, before=[b.replica(pod, OLD) for pod in "ab"])
            holders = {**found.holders, "other": other.ref}
            return replace(found, adapters=(*found.adapters, other), holders=holders)

        assert holds(with_other()) == {"a": BOTH, "b": BOTH}
        assert holds(with_other(b.entry("other"))) == {"a": SWAPPED, "b": OLD_STAYS}


class TestReplicaByReplica:
    def test_a_version_that_is_still_fetched_disturbs_nobody(self) -> None:
        assert holds(updating(b.replica("a", OLD), b.replica("b", OLD))) == {"a": OLD_STAYS, "b": OLD_STAYS}

    def test_the_first_changes_while_the_second_answers(self) -> None:
        found = updating(b.replica("a", OLD, STAGED), b.replica("b", OLD, STAGED))
        assert holds(found) == {"a": SWAPPED, "b": OLD_STAYS}

    def test_the_second_waits_while_the_first_is_empty(self) -> None:
        draining = b.entry(commit=V1, state=State.DRAINING)
        for between in ([draining, STAGED], [KEPT, STAGED]):
            found = updating(b.replica("a", *between), b.replica("b", OLD, STAGED))
            assert holds(found) == {"a": SWAPPED, "b": OLD_STAYS}

    def test_the_second_waits_until_gateways_know_that_the_first_answers(self) -> None:
        found = updating(b.replica("a", KEPT, NEW), b.replica("b", OLD, STAGED))
        assert holds(found) == {"a": SWAPPED, "b": OLD_STAYS}
        assert holds(told(found)) == {"a": SWAPPED, "b": SWAPPED}

    def test_where_no_other_answers_it_is_loaded_beyond_the_slots(self) -> None:
        assert holds(updating(b.replica("a", OLD, STAGED))) == {"a": BOTH}
        away = b.replica("b", KEPT, ready=False)
        assert holds(updating(b.replica("a", OLD, STAGED), away))["a"] == OLD_STAYS | {"2": True}

    @pytest.mark.parametrize("known", [False, True])
    def test_of_two_loaded_versions_the_old_one_goes_once_gateways_know_the_new_one(self, known: bool) -> None:
        found = updating(b.replica("a", OLD, NEW), b.replica("b", OLD, STAGED))
        assert holds(told(found) if known else found)["a"] == (SWAPPED if known else BOTH)

    def test_a_version_that_failed_for_good_is_brought_to_no_further_replica(self) -> None:
        for left in ([KEPT, FAILED], [OLD, FAILED]):
            found = updating(b.replica("a", *left), b.replica("b", OLD, STAGED))
            assert holds(found) == {"a": BOTH, "b": OLD_STAYS}

    def test_one_that_fails_for_now_holds_up_the_rest_and_keeps_trying(self) -> None:
        for_now = b.entry(commit=V2, state=State.FAILED, reason=Reason.LOAD_TIMEOUT)
        found = updating(b.replica("a", KEPT, for_now), b.replica("b", OLD, STAGED))
        assert holds(found)["b"] == OLD_STAYS


class TestGoingBack:
    def test_where_the_new_one_failed_the_one_that_was_told_is_wanted_again_whatever_became_of_it(self) -> None:
        for left in ([KEPT, FAILED], [FAILED]):
            assert holds(updating(b.replica("a", *left), b.replica("b", OLD, FAILED)))["a"] == BOTH

    def test_where_both_failed_for_good_neither_is_forgotten_and_tried_anew(self) -> None:
        lost = b.entry(commit=V1, state=State.FAILED, reason=Reason.RANK_TOO_HIGH, lasting=True)
        both = updating(b.replica("a", lost, FAILED))
        assert holds(both) == {"a": BOTH}
        fetching = b.entry(commit=V2, state=State.FETCHING)
        assert holds(updating(b.replica("a", lost, fetching))) == {"a": BOTH}
        assert holds(updating(b.replica("a", lost, NEW))) == {"a": NEW_ALONE}

    def test_while_the_source_means_nothing_yet_the_one_that_was_told_is_wanted_also_after_a_restart(self) -> None:
        first = told(seen([b.adapter()], b.replica("a", OLD)))
        moving = then(first, b.replica("a", KEPT), source={"uri": "hf://acme/sql@main"})
        assert holds(moving) == {"a": {"1": True}}

    @pytest.mark.parametrize("slots", [1, 2])
    @pytest.mark.parametrize("reason", [None, Reason.SOURCE_UNAVAILABLE], ids=["under way", "fails for now"])
    def test_an_engine_that_starts_again_before_the_new_one_is_fetched_loads_the_one_that_was_told(
        self, slots: int, reason: Reason | None
    ) -> None:
        state = State.FAILED if reason else State.FETCHING
        fetching = b.entry(commit=V2, state=state, reason=reason, digest="", engine_name="")
        found = updating(b.replica("a", KEPT, fetching), slots=slots)
        assert holds(found) == {"a": BOTH if slots > 1 else OLD_STAYS}

    def test_a_replica_that_comes_in_the_middle_fetches_the_new_one_alone_while_that_can_be_had(self) -> None:
        before = [b.replica("a", OLD)]
        assert holds(updating(b.replica("a", OLD), b.replica("b"), slots=2, before=before))["b"] == NEW_ALONE
        failing = b.entry(commit=V2, state=State.FAILED, reason=Reason.SOURCE_UNAVAILABLE, digest="", engine_name="")
        assert holds(updating(b.replica("a", OLD), b.replica("b", failing), slots=2, before=before))["b"] == BOTH

    def test_a_rollback_loads_what_is_on_the_disk(self) -> None:
        second = told(told(updating(b.replica("a", OLD, NEW))))
        back = then(second, b.replica("a", KEPT, NEW))
        assert [one.uri.rsplit("@", 1)[1] for one in back.adapters[0].told.history] == [V2, V1]
        assert holds(back) == {"a": {"1": True, "2": True}}

    def test_what_was_served_is_kept_where_its_bytes_are_and_fetched_nowhere(self) -> None:
        second = told(told(updating(b.replica("a", OLD, NEW))))
        assert holds(then(second, b.replica("a", KEPT, NEW), b.replica("b", NEW), source=v2())) == {
            "a": SWAPPED,
            "b": NEW_ALONE,
        }

    def test_what_was_given_up_for_want_of_room_is_forgotten(self) -> None:
        second = told(told(updating(b.replica("a", OLD, NEW))))
        gone = b.entry(commit=V1, state=State.FAILED, reason=Reason.NO_SPACE, digest="")
        assert holds(then(second, b.replica("a", gone, NEW), source=v2())) == {"a": NEW_ALONE}

    def test_other_bytes_alone_make_a_version(self) -> None:
        """A commit that changed a README has the digest, and so the engine name, of the one before."""
        same = NEW.model_copy(update={"digest": OLD.digest, "engine_name": OLD.engine_name})
        found = updating(b.replica("a", OLD, same))
        assert holds(found) == {"a": NEW_ALONE}


class TestComingBack:
    def test_a_replica_that_comes_back_with_the_old_one_lets_it_go_where_another_has_the_new_one(self) -> None:
        changed = told(told(updating(b.replica("a", OLD, NEW), b.replica("b", OLD, NEW))))
        assert holds(then(changed, b.replica("a", KEPT, NEW), b.replica("b", OLD), source=v2()))["b"] == SWAPPED

    def test_and_keeps_it_where_nobody_else_answers(self) -> None:
        changed = told(told(updating(b.replica("a", OLD, NEW), b.replica("b", OLD, NEW))))
        alone = then(changed, b.replica("a", ready=False, state=None), b.replica("b", OLD, STAGED), source=v2())
        assert holds(alone)["b"] == BOTH


class TestMoving:
    PODS = ("a", "b", "c")

    def moved(self, slots: int = 8) -> tuple[Seen, str, str]:
        """sql asks for one replica and was told on one; now another is there that it prefers. Old and new home."""
        homes = lay_out(seen([b.adapter(replicas=1)], *map(b.replica, self.PODS))).place(b.adapter()).homes
        new = next(iter(homes))
        old = next(pod for pod in self.PODS if pod != new)
        before = told(seen([b.adapter(replicas=1)], b.replica(old, OLD), slots=slots))
        return then(before, b.replica(old, OLD), b.replica(new), replicas=1), old, new

    def test_it_stays_where_it_was_until_its_new_home_answers_and_gateways_know(self) -> None:
        found, old, new = self.moved()
        assert holds(found) == {old: {"1": True}, new: {"1": True}}
        found = replace(found, replicas=(b.replica(old, OLD), b.replica(new, OLD)))
        assert holds(found)[old] == {"1": True}
        assert holds(told(found))[old] == {"1": False}

    def test_what_is_only_kept_on_the_disk_of_a_replica_it_left_is_not_told(self) -> None:
        found, old, new = self.moved()
        left = replace(found, replicas=(b.replica(old, KEPT), b.replica(new, OLD)))
        assert [row.pod for row in told(left).adapters[0].told.replicas] == [new]

    def test_also_beyond_the_slots_where_nobody_else_answers(self) -> None:
        found, old, new = self.moved(slots=1)
        taken = b.adapter("taken")
        found = replace(
            found,
            adapters=(*found.adapters, replace(taken, spec=taken.spec.model_copy(update={"priority": -1}))),
            holders={**found.holders, "taken": taken.ref},
            replicas=(b.replica(old, OLD, b.entry("taken")), b.replica(new)),
        )
        assert lay_out(found).place(taken).homes == {old}
        assert holds(found)[old] == {"1": True}

    def test_of_what_was_told_nothing_is_left_on_a_replica_without_a_name_to_answer_to(self) -> None:
        found = told(seen([b.adapter()], b.replica("a", OLD)))
        lost = replace(found, holders={"sql": b.adapter("older").ref})
        assert holds(lost) == {"a": {"1": False}}


class TestDisplaced:
    def facts(self, *of_high: Any) -> Seen:
        """sql has the one slot of each replica; high, of a higher priority, wants it."""
        before = told(seen([b.adapter()], b.replica("a", OLD), b.replica("b", OLD), slots=1))
        high = b.adapter("high", priority=1)
        replicas = (b.replica("a", OLD, *of_high), b.replica("b", OLD))
        return replace(
            before, adapters=(*before.adapters, high), replicas=replicas, holders={**before.holders, "high": high.ref}
        )

    def test_it_loses_its_slot_once_the_bytes_of_the_other_are_there_and_not_before(self) -> None:
        assert holds(self.facts(b.entry("high", state=State.FETCHING))) == {"a": {"1": True}, "b": {"1": True}}
        assert holds(self.facts(b.entry("high", state=State.STAGED))) == {"a": {"1": False}, "b": {"1": True}}

    def test_the_other_waits_for_the_slot_with_its_bytes_staged(self) -> None:
        shares = lay_out(self.facts()).shares
        assert [entry.load for entry in shares["a"] if entry.adapter == "high"] == [False]

    def test_one_that_is_broken_never_takes_it(self) -> None:
        broken = b.entry("high", state=State.FAILED, reason=Reason.RANK_TOO_HIGH, lasting=True)
        assert holds(self.facts(broken))["a"] == {"1": True}


class TestWhatIsTold:
    def test_rows_of_what_shall_not_stay_are_draining_before_the_agent_says_so(self) -> None:
        found = told(told(updating(b.replica("a", OLD, STAGED), b.replica("b", OLD, STAGED))))
        rows = {(row.pod, row.digest): row.state for row in found.adapters[0].told.replicas}
        assert (rows["a", OLD.digest], rows["b", OLD.digest]) == (State.DRAINING, State.LOADED)

    def test_rows_of_what_is_only_kept_on_disk_are_left_out(self) -> None:
        found = told(told(updating(b.replica("a", OLD, NEW))))
        rows = told(then(found, b.replica("a", KEPT, NEW), source=v2())).adapters[0].told.replicas
        assert [row.digest for row in rows] == [NEW.digest]

    def test_while_replicas_differ_both_versions_are_named_and_counted(self) -> None:
        status = told(updating(b.replica("a", KEPT, NEW), b.replica("b", OLD, STAGED))).adapters[0].told
        assert status.conditions[0].message.endswith(f"; versions {OLD.engine_name} and {NEW.engine_name} answer")
        assert (status.ready_replicas, status.engine_name) == (2, OLD.engine_name)

    def test_a_version_that_was_served_is_in_the_history_once_the_latest_first_and_five_at_most(self) -> None:
        commits = [digit * 40 for digit in "123456"]
        found = told(seen([b.adapter()], b.replica("a", OLD)))
        for commit in [*commits[1:], commits[3]]:
            spec = {"source": {"uri": b.source_uri("sql", commit)}}
            found = told(then(found, b.replica("a", b.entry(commit=commit)), **spec))
        assert [one.uri[-1] for one in found.adapters[0].told.history] == ["4", "6", "5", "3", "2"]

    def test_what_is_served_keeps_its_time_and_what_is_not_served_now_stays(self) -> None:
        found = told(seen([b.adapter()], b.replica("a", OLD)))
        first = found.adapters[0].told.history
        assert first == (
            ServedVersion(uri=OLD.uri, revision=V1, digest=OLD.digest, engine_name=OLD.engine_name, since=b.NOW),
        )
        later = [tell.status for tell in report(found, lay_out(found), Done(), LATER)]
        assert not [one for one in later if isinstance(one, LoRAAdapterStatus)]
        lost = told(then(found, b.replica("a")))
        assert (lost.adapters[0].told.engine_name, lost.adapters[0].told.history) == ("", first)


def v2() -> dict[str, str]:
    return {"uri": b.source_uri("sql", V2)}


def test_what_an_earlier_object_of_its_name_left_is_none_of_its_versions() -> None:
    found = seen([b.adapter(source=v2())], b.replica("a", OLD, STAGED), b.replica("b", OLD))
    assert holds(found) == {"a": NEW_ALONE, "b": NEW_ALONE}
    status = told(found).adapters[0].told
    assert (status.engine_name, status.history, status.ready_replicas) == ("", (), 0)
    assert {row.state for row in status.replicas if row.digest == OLD.digest} == {State.DRAINING}
