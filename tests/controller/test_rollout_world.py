"""Versions and places change in any order, under any shortage of slots, and somebody answers all the while.

A small world of replicas that do what they are told, one step at a time and in any order, and gateways that know what
was told last. hypothesis lives in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.wire import AdapterState
from lorikeet.controller.actions import Push
from lorikeet.controller.carry_out import Done
from lorikeet.controller.decide import decide
from lorikeet.controller.layout import Layout, lay_out
from lorikeet.controller.report import report
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.controller.versions import entry_of, loaded
from lorikeet.testing import builders as b

GOOD = tuple(digit * 40 for digit in "123")
UNFIT, UNLOADABLE = "d" * 40, "e" * 40
"""Versions whose bytes are refused, and that an engine refuses."""
NAMES = ("chat", "poet", "sql")
INSTALLATION = b.installation()
Key = tuple[str, str]


@dataclass
class Box:
    """One replica: what it was told to hold (key → whether loaded), and what it has."""

    pod: str
    routed: bool = True
    wanted: dict[Key, bool] = field(default_factory=dict)
    wanted_id: str = ""
    has: dict[Key, State] = field(default_factory=dict)

    def take(self, push: Push) -> None:
        self.wanted = {(one.adapter, one.uri): one.load for one in push.wanted.adapters}
        self.wanted_id = push.wanted.id
        for key in self.wanted:
            self.has.setdefault(key, State.FETCHING)
            if self.has[key] is State.DRAINING and self.wanted[key]:
                self.has[key] = State.LOADED
        for key, state in list(self.has.items()):
            if state is State.LOADED and not self.wanted.get(key):
                self.has[key] = State.DRAINING
            elif key not in self.wanted and state is not State.DRAINING:
                del self.has[key]

    def steps(self) -> Iterator[tuple[Key, State | None]]:
        """What may happen next here."""
        for key, state in sorted(self.has.items()):
            commit = key[1].rsplit("@", 1)[1]
            if state is State.FETCHING:
                yield key, State.FAILED if commit == UNFIT else State.STAGED
            elif state is State.STAGED and self.wanted.get(key):
                yield key, State.FAILED if commit == UNLOADABLE else State.LOADED
            elif state is State.DRAINING:
                yield key, State.STAGED if key in self.wanted else None

    def answers_to(self, engine_name: str) -> bool:
        """Whether the engine lists it."""
        listed = (State.LOADED, State.DRAINING)
        return any(state in listed and _entry(key, state).engine_name == engine_name for key, state in self.has.items())

    def settled(self) -> bool:
        return all(self.has.get(key) in (State.LOADED, State.FAILED) for key, load in self.wanted.items() if load)


def _entry(key: Key, state: State) -> AdapterState:
    more: dict[str, Any] = {"lasting": True, "reason": Reason.LOAD_FAILED} if state is State.FAILED else {}
    return b.entry(key[0], key[1].rsplit("@", 1)[1], state, **more)


class World:
    def __init__(self, slots: int, pods: int) -> None:
        self.slots = slots
        self.boxes = {f"pod-{number}": Box(f"pod-{number}") for number in range(pods)}
        self.specs: dict[str, dict[str, Any]] = {}
        self.told: dict[str, LoRAAdapterStatus] = {}
        self.server_told = ModelServerStatus()
        self.once_answered: set[str] = set()

    def seen(self) -> Seen:
        spec = {"maxLoras": 1, "maxCpuLoras": self.slots}
        server = replace(b.server(lora=spec, replicas=len(self.boxes)), told=self.server_told)
        replicas = [
            b.replica(box.pod, ready=box.routed, state=b.agent_state(*(_entry(*item) for item in box.has.items())))
            for box in self.boxes.values()
        ]
        heard = [
            replace(one, state=one.state.model_copy(update={"wanted": self.boxes[one.pod].wanted_id}))
            for one in replicas
            if one.state
        ]
        found = b.seen(self.adapters(), heard, server)
        rendered = dict.fromkeys(("Secret", "Service", "Deployment"), "as it shall be")
        return replace(found, server=replace(server, rendered=rendered))

    def adapters(self) -> list[Adapter]:
        return [b.adapter(name, told=self.told.get(name), **spec) for name, spec in sorted(self.specs.items())]

    def run_pass(self) -> bool:
        """One pass: push, then tell. Whether anything was done."""
        seen = self.seen()
        layout = lay_out(seen)
        pushes = [each for each in decide(seen, layout, INSTALLATION).actions if isinstance(each, Push)]
        for push in pushes:
            self.boxes[push.pod].take(push)
        self._shares_are_fair(seen, layout)
        tells = report(seen, layout, Done(), b.NOW)
        for tell in tells:
            if isinstance(tell.status, ModelServerStatus):
                self.server_told = tell.status
            else:
                self.told[tell.ref.name] = tell.status
        return bool(pushes or tells)

    def _shares_are_fair(self, seen: Seen, layout: Layout) -> None:
        """Nothing is loaded beyond a replica's slots but where it is all that answers, or is about to be dropped."""
        for replica in seen.replicas:
            planned = [
                (adapter, uri)
                for adapter in seen.adapters
                for uri in layout.loads(adapter, replica.pod)
                if (entry := entry_of(adapter, uri, replica)) and entry.state in (State.STAGED, State.LOADED)
            ]
            over = len(planned) - self.slots
            alone = [adapter for adapter, _ in planned if not self._others(adapter, replica, layout)]
            assert over <= len(alone), f"{replica.pod} shall load {[(one.ref.name, uri[-2:]) for one, uri in planned]}"

    def _others(self, adapter: Adapter, replica: Replica, layout: Layout) -> bool:
        """Whether another home of the adapter answers, and the replica has not both versions already."""
        ready = {each.pod for each in self.server_told.endpoints if each.ready}
        rows = {row.pod for row in adapter.told.replicas if row.state is State.LOADED} & ready
        both = len(loaded(adapter, replica)) > 1
        return not both and bool(rows & layout.place(adapter).homes - {replica.pod})

    def answers(self, name: str) -> set[str]:
        """The engine names with which gateways find the adapter; they ask another replica where one does not know."""
        told, ready = self.told.get(name), {each.pod for each in self.server_told.endpoints if each.ready}
        rows = [row for row in told.replicas if row.state is State.LOADED and row.pod in ready] if told else []
        names = {(row.pod, f"{name}@{row.digest[:12]}") for row in rows}
        return {engine for pod, engine in names if self.boxes[pod].routed and self.boxes[pod].answers_to(engine)}

    def rest(self) -> None:
        """Let everything happen that will."""
        for _ in range(300):
            moved = self.run_pass()
            for box in self.boxes.values():
                for key, state in list(box.steps()):
                    moved = True
                    step(box, key, state)
                if not box.routed and box.settled():
                    box.routed = moved = True
            if not moved:
                return
        raise AssertionError("the world finds no rest")


def step(box: Box, key: Key, state: State | None) -> None:
    if state is None:
        del box.has[key]
    else:
        box.has[key] = state


class Life(RuleBasedStateMachine):
    """Users change adapters, replicas come, agents and the operator do one thing after the other."""

    @initialize(slots=st.integers(1, 3), pods=st.integers(1, 3))
    def begin(self, slots: int, pods: int) -> None:
        self.world = World(slots, pods)
        self.number = pods

    @rule(name=st.sampled_from(NAMES), replicas=st.none() | st.integers(1, 2), priority=st.integers(0, 1))
    def create(self, name: str, replicas: int | None, priority: int) -> None:
        source = {"uri": b.source_uri(name, GOOD[0])}
        made = {"source": source, "priority": priority} | ({} if replicas is None else {"replicas": replicas})
        self.world.specs.setdefault(name, made)

    @rule(name=st.sampled_from(NAMES), commit=st.sampled_from((*GOOD, UNFIT, UNLOADABLE)))
    def change(self, name: str, commit: str) -> None:
        if name in self.world.specs:
            self.world.specs[name] |= {"source": {"uri": b.source_uri(name, commit)}}

    @rule(name=st.sampled_from(NAMES), replicas=st.integers(1, 3))
    def spread(self, name: str, replicas: int) -> None:
        if name in self.world.specs:
            self.world.specs[name] |= {"replicas": replicas}

    @precondition(lambda self: self.number < 5)
    @rule()
    def add_replica(self) -> None:
        pod = f"pod-{self.number}"
        self.world.boxes[pod] = Box(pod, routed=False)
        self.number += 1

    @rule()
    def run_pass(self) -> None:
        self.world.run_pass()

    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        steps = [(box, *each) for box in self.world.boxes.values() for each in box.steps()]
        if steps:
            step(*data.draw(st.sampled_from(steps)))

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """An engine starts again: it has nothing loaded, and takes no requests until it has."""
        box = data.draw(st.sampled_from(list(self.world.boxes.values())))
        for key, state in list(box.has.items()):
            if state is State.DRAINING and key not in box.wanted:
                del box.has[key]
            elif state in (State.LOADED, State.DRAINING):
                box.has[key] = State.STAGED
        box.routed = False
        self.world.once_answered = {name for name in self.world.once_answered if self.world.answers(name)}

    @rule()
    def become_ready(self) -> None:
        for box in self.world.boxes.values():
            box.routed = box.routed or (bool(box.wanted_id) and box.settled())

    @rule()
    def rest(self) -> None:
        self.world.rest()

    @invariant()
    def who_answered_once_answers_for_ever(self) -> None:
        """But for those that lost their slot to others, and say so."""
        if not hasattr(self, "world"):
            return
        for name in self.world.specs:
            answers = self.world.answers(name)
            if lacks_slots(self.world, name):
                self.world.once_answered.discard(name)
            elif answers:
                self.world.once_answered.add(name)
            assert answers or name not in self.world.once_answered, f"nobody answers for {name}"

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        self.world.rest()
        seen = self.world.seen()
        layout = lay_out(seen)
        for box in self.world.boxes.values():
            assert sum(state is State.LOADED for state in box.has.values()) <= self.world.slots
        for adapter in seen.adapters:
            self._is_as_wanted(adapter, layout)

    def _is_as_wanted(self, adapter: Adapter, layout: Layout) -> None:
        uri = adapter.spec.source.uri
        if uri.endswith((UNFIT, UNLOADABLE)):
            return
        there = {pod for pod, box in self.world.boxes.items() if box.has.get((adapter.ref.name, uri)) is State.LOADED}
        assert there == layout.place(adapter).homes
        others = {
            key
            for box in self.world.boxes.values()
            for key, state in box.has.items()
            if key[0] == adapter.ref.name and key[1] != uri and state is not State.STAGED
        }
        assert not {key for key in others if not key[1].endswith((UNFIT, UNLOADABLE))}


def lacks_slots(world: World, name: str) -> bool:
    """Whether the adapter has fewer homes than it asks for, now or in what is still told."""
    seen = world.seen()
    adapter = next(each for each in seen.adapters if each.ref.name == name)
    return lay_out(seen).place(adapter).missing > 0


PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
Life.TestCase.settings = settings(max_examples=30, stateful_step_count=40, deadline=None, phases=PHASES)
TestLife = Life.TestCase
