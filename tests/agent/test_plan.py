"""What the agent decides, as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lorikeet.agent.actions import Action, Drain, Fetch, GiveUp, Keep, Load, Remove, Unload
from lorikeet.agent.plan import Policy, decide, minds_requests
from lorikeet.agent.seen import Balk, Call, Failure, Key, Seen
from lorikeet.agent.store import Staged
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.wire import WantedAdapter

STORE = Path("/adapters/store")
POLICY = Policy(grace=3.0, drain=60.0, fetches=2)
A, B = Key("a", "hf://x/a@1"), Key("b", "hf://x/b@1")
DA, DB = "a" * 64, "b" * 64
NA, NB = f"a@{DA[:12]}", f"b@{DB[:12]}"
RA, RB = str(STORE / DA), str(STORE / DB)


def staged(key: Key, digest: str) -> Staged:
    return Staged(uri=key.uri, revision="1", digest=digest, rank=8, bytes=1)


def failed(retry_at: float | None, attempts: int = 1) -> Failure:
    return Failure("fetch", Problem(reason=Reason.SOURCE_UNAVAILABLE, message="x"), attempts, retry_at)


def no_room(key: Key) -> dict[Key, Failure]:
    return {key: Failure("fetch", Problem(reason=Reason.NO_SPACE, message="x"), 1, 9999.0)}


def wanted(*keys: Key, kept: tuple[Key, ...] = ()) -> dict[Key, WantedAdapter]:
    """These shall be loaded, and `kept` only be on disk."""
    return {key: WantedAdapter(adapter=key.adapter, uri=key.uri, load=key not in kept) for key in (*keys, *kept)}


CALM = Seen(
    now=100.0,
    wanted=wanted(A, B),
    staged={A: staged(A, DA), B: staged(B, DB)},
    listed={NA: RA, NB: RB},
    on_disk=frozenset({DA, DB}),
)
"""All is as wanted. Each row below changes one thing."""
EMPTY = replace(CALM, staged={}, listed={}, on_disk=frozenset())
HALF = replace(CALM, staged={B: CALM.staged[B]}, listed={NB: RB}, on_disk=frozenset({DB}))
LESS = replace(CALM, wanted=wanted(A))
MISSING = replace(CALM, listed={NB: RB})
BALK, DUE = Balk("x", 1, 101.0), Balk("x", 1, 100.0)
KEPT = replace(CALM, wanted=wanted(A, kept=(B,)), listed={NA: RA})
C = Key("c", "hf://x/c@1")
FULL = replace(KEPT, wanted=wanted(A, C, kept=(B,)), failures=no_room(C))

ROWS: list[tuple[str, Seen, list[Action]]] = [
    ("all as wanted", CALM, []),
    ("nothing staged", EMPTY, [Fetch(A), Fetch(B)]),
    ("no base model yet", replace(EMPTY, may_fetch=False), []),
    (
        "a fetch under way",
        replace(EMPTY, fetching=frozenset({A})),
        [Fetch(B)],
    ),
    (
        "as many fetches as allowed",
        replace(EMPTY, fetching=frozenset({Key("c", "c"), Key("d", "d")})),
        [],
    ),
    (
        "the same source is under way for another",
        replace(EMPTY, wanted=wanted(Key("c", A.uri)), fetching=frozenset({A})),
        [],
    ),
    (
        "a failed fetch waits",
        replace(HALF, failures={A: failed(101.0)}),
        [],
    ),
    (
        "a failed fetch is due",
        replace(HALF, failures={A: failed(100.0)}),
        [Fetch(A)],
    ),
    (
        "a lasting failure waits for ever",
        replace(HALF, failures={A: failed(None)}),
        [],
    ),
    ("one load at a time", replace(CALM, listed={}), [Load(A, NA, RA)]),
    ("no load beside another call", replace(MISSING, calling={"x@1": Call(99.5)}), []),
    ("a load beside one that has no answer yet", replace(MISSING, calling={"x@1": Call(99.0)}), [Load(A, NA, RA)]),
    ("no load beside the next one", replace(MISSING, calling={"x@1": Call(90.0), "y@1": Call(99.5)}), []),
    ("nothing while enough have no answer", replace(MISSING, calling={f"{n}@1": Call(0.0) for n in range(4)}), []),
    ("never two calls of one name", replace(MISSING, calling={NA: Call(0.0, DA)}), []),
    ("what failed less goes first", replace(CALM, listed={}, failures={A: failed(0.0, 3)}), [Load(B, NB, RB)]),
    ("the hottest goes first", replace(CALM, listed={}, hottest=("c", "b")), [Load(B, NB, RB)]),
    (
        "the hottest waits when it failed",
        replace(CALM, listed={}, hottest=("b",), failures={B: failed(0.0)}),
        [Load(A, NA, RA)],
    ),
    ("no load without an engine", replace(CALM, listed=None), []),
    ("no second load before the list is read again", replace(CALM, listed={NB: RB}, unchecked=frozenset({NA})), []),
    ("an unwanted one starts to drain", LESS, [Drain(NB)]),
    ("in its grace", replace(LESS, draining={NB: 98.0}), []),
    ("drained", replace(LESS, draining={NB: 97.0}), [Unload(NB)]),
    ("still busy", replace(LESS, draining={NB: 50.0}, busy=frozenset({NB})), []),
    ("busy, but time is up", replace(LESS, draining={NB: 40.0}, busy=frozenset({NB})), [Unload(NB)]),
    ("wanted again", replace(CALM, draining={NB: 97.0}), [Keep(NB)]),
    (
        "loads go before unloads",
        replace(LESS, listed={NB: RB}, draining={NB: 0.0}),
        [Load(A, NA, RA)],
    ),
    (
        "unloaded, and the list was not asked for since",
        replace(LESS, unchecked=frozenset({NB})),
        [Drain(NB)],
    ),
    ("gone from the list: its files go", replace(LESS, listed={NA: RA}), [Remove(DB)]),
    ("files stay while the engine is away", replace(LESS, listed=None), []),
    (
        "files stay while a load of them is under way",
        replace(LESS, listed={NA: RA}, calling={NB: Call(0.0, DB)}),
        [],
    ),
    (
        "files go while others' calls have no answer",
        replace(LESS, listed={NA: RA}, calling={"x@1": Call(0.0, "e" * 64)}),
        [Remove(DB)],
    ),
    ("an unload that failed waits", replace(LESS, draining={NB: 97.0}, balks={NB: BALK}), []),
    (
        "an unload that failed is due",
        replace(LESS, draining={NB: 97.0}, balks={NB: DUE}),
        [Unload(NB)],
    ),
    ("a removal that failed waits", replace(LESS, listed={NA: RA}, balks={DB: BALK}), []),
    ("a name that could not be freed waits", replace(CALM, listed={NA: RB, NB: RB}, balks={NA: BALK}), []),
    (
        "files stay while a lost load may come true",
        replace(LESS, listed={NA: RA}, held=frozenset({DB})),
        [],
    ),
    (
        "files stay while another name stands for them",
        replace(LESS, listed={NA: RA, "ghost@1": RB}, draining={"ghost@1": 100.0}),
        [],
    ),
    ("a name that stands for other bytes goes at once", replace(CALM, listed={NA: RB, NB: RB}), [Unload(NA)]),
    ("foreign adapters are none of our business", replace(CALM, listed={NA: RA, NB: RB, "x": "/models/x"}), []),
    ("what is only kept is not loaded", KEPT, []),
    ("what is only kept leaves the engine", replace(KEPT, listed=CALM.listed), [Drain(NB)]),
    ("what is only kept is fetched last", replace(EMPTY, wanted=wanted(B, kept=(A,))), [Fetch(B), Fetch(A)]),
    ("of what is only kept one at a time", replace(EMPTY, wanted=wanted(kept=(A, B))), [Fetch(A)]),
    (
        "what is only kept waits for the one under way",
        replace(EMPTY, wanted=wanted(B, kept=(A, C)), fetching=frozenset({A})),
        [Fetch(B)],
    ),
    ("no room: what is only kept goes", FULL, [GiveUp(DB)]),
    ("no room for what is only kept: nothing goes", replace(KEPT, failures=no_room(B)), []),
    ("no room: one at a time", replace(FULL, removing=frozenset({"e" * 64})), []),
    (
        "no room: bytes that another has loaded stay",
        replace(FULL, staged={A: staged(A, DA), B: staged(B, DA)}, on_disk=frozenset({DA})),
        [],
    ),
    ("no room: bytes that the engine may read stay", replace(FULL, listed={NA: RA, NB: RB}), [Drain(NB)]),
    ("no room: bytes that a lost load may read stay", replace(FULL, held=frozenset({DB})), []),
    (
        "no room: what nobody wants goes before",
        replace(FULL, on_disk=frozenset({DA, DB, "e" * 64})),
        [Remove("e" * 64)],
    ),
    ("never told anything", replace(CALM, wanted={}, staged={}, told=False), []),
]


@pytest.mark.parametrize(("seen", "actions"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_decide(seen: Seen, actions: list[Action]) -> None:
    assert list(decide(seen, POLICY)) == actions


NEXT, DN, DE = Key("a", "hf://x/a@2"), "d" * 64, "e" * 64
NN, RN = f"a@{DN[:12]}", str(STORE / DN)
AGE = {NA: 50.0}  # half a minute past its grace
UPDATED = replace(
    CALM,
    wanted=wanted(NEXT),
    staged={NEXT: staged(NEXT, DN)},
    listed={NA: RA, NN: RN},
    on_disk=frozenset({DA, DN}),
    draining=AGE,
    busy=None,
)
"""An old version on its way out beside the new one; two slots."""
MORE = replace(
    UPDATED, wanted=wanted(NEXT, B), staged={**UPDATED.staged, B: staged(B, DB)}, on_disk=frozenset({DA, DN, DB})
)

LINGERING: list[tuple[str, Seen, list[Action], bool]] = [
    ("a version whose slot nobody wants stays", UPDATED, [], False),
    ("its time is over", replace(UPDATED, now=650.0), [Unload(NA)], True),
    ("its time is over whoever is busy", replace(UPDATED, now=650.0, busy=frozenset({NA})), [Unload(NA)], True),
    ("its slot is wanted: who is busy?", MORE, [Load(B, NB, RB)], True),
    ("its slot is wanted and it is idle", replace(MORE, busy=frozenset()), [Unload(NA)], True),
    ("its slot is wanted and it is busy", replace(MORE, busy=frozenset({NA})), [Load(B, NB, RB)], True),
    ("its slot is wanted in its grace", replace(MORE, busy=frozenset(), draining={NA: 99.0}), [Load(B, NB, RB)], True),
    (
        "its slot was taken already",
        replace(MORE, busy=frozenset(), listed={NA: RA, NN: RN, NB: RB}),
        [Unload(NA)],
        True,
    ),
    ("its files' room is wanted", replace(UPDATED, failures=no_room(NEXT), busy=frozenset()), [Unload(NA)], True),
    ("nobody wants its adapter", replace(UPDATED, wanted={}, listed={NA: RA}, busy=frozenset()), [Unload(NA)], True),
    ("nobody wants its adapter: who is busy?", replace(UPDATED, wanted={}, listed={NA: RA}), [], True),
    (
        "it is wanted again",
        replace(UPDATED, wanted=wanted(NEXT, A), staged={**UPDATED.staged, A: staged(A, DA)}),
        [Keep(NA)],
        False,
    ),
]


@pytest.mark.parametrize(
    ("seen", "actions", "minds"), [row[1:] for row in LINGERING], ids=[row[0] for row in LINGERING]
)
def test_a_version_lingers_while_its_slot_is_not_wanted(seen: Seen, actions: list[Action], minds: bool) -> None:
    policy = replace(POLICY, slots=2, linger=600.0)
    asked = [action for action in decide(seen, policy) if action not in [Remove(DN), Remove(DA)]]
    assert asked == actions
    assert minds_requests(seen, policy) is minds


def test_without_a_number_of_slots_nothing_lingers() -> None:
    assert list(decide(replace(UPDATED, busy=frozenset()), POLICY)) == [Unload(NA)]


def test_actions_are_sentences() -> None:
    actions = (Fetch(A), Load(A, NA, RA), Drain(NA), Keep(NA), Unload(NA), Remove(DA), GiveUp(DA))
    sentences = [str(action) for action in actions]
    assert sentences == [
        "fetch a from hf://x/a@1",
        f"load {NA}",
        f"drain {NA}",
        f"keep {NA}, it is wanted again",
        f"unload {NA}",
        f"remove the files of {DA[:12]}",
        f"give up the files of {DA[:12]}, which are only kept: others need their room",
    ]
