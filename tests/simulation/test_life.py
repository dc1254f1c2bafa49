"""Users and misfortune in any order, on the virtual clock: real operator, agents and stores, no socket and no waiting.

What hypothesis finds becomes a test of its own in `test_rows.py`.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lorikeet.agent.keeper import Pace
from lorikeet.agent.plan import Policy
from lorikeet.backoff import Backoff
from lorikeet.kube.errors import Unreachable
from lorikeet.testing import builders as b
from lorikeet.testing.campaign.world import Version
from lorikeet.testing.simulation import simulated
from lorikeet.testing.simulation.network import Broken
from lorikeet.testing.simulation.promises import Promises
from lorikeet.testing.simulation.replica import UNFIT, UNLOADABLE

pytestmark = pytest.mark.slow

NAMES = ("chat", "poet", "sql")
ALIAS = "best"
GOOD = tuple(digit * 40 for digit in "123")
PACE = Pace(policy=Policy(linger=20.0), backoff=Backoff(cap=5.0))
"""Waits are real but for the longest, which would only make lives longer."""
REST = 100.0
"""Seconds after which all is as wanted once nothing goes wrong any more."""
MOMENTS = st.sampled_from((0.0, 0.02, 0.3, 2.0, 8.0))


class Life(RuleBasedStateMachine):
    """Each rule does one thing and lets some time pass."""

    @initialize(slots=st.integers(1, 3), replicas=st.integers(1, 3))
    def begin(self, slots: int, replicas: int) -> None:
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.cluster = self.stack.enter_context(simulated(folder, PACE))
        self.promises = Promises(self.cluster)
        self.versions: dict[str, str] = {}
        self.sampling = self.cluster.loop.create_task(self.promises.run())
        self.cluster.create_server(replicas=replicas, lora={"maxLoras": 1, "maxCpuLoras": slots})
        self.cluster.pass_time(12.0)

    # --- users ------------------------------------------------------------------------------------------------------

    @rule(
        name=st.sampled_from(NAMES),
        commit=st.sampled_from((*GOOD, UNFIT, UNLOADABLE)),
        replicas=st.none() | st.integers(1, 2),
        priority=st.integers(0, 1),
        alias=st.booleans(),
        moment=MOMENTS,
    )
    def create(self, name: str, commit: str, replicas: int | None, priority: int, alias: bool, moment: float) -> None:
        if name in self.versions:
            return
        spec: dict[str, Any] = {"priority": priority, "source": {"uri": self._declare(name, commit)}}
        spec |= {} if replicas is None else {"replicas": replicas}
        self.cluster.create_adapter(name, **spec, **({"aliases": [ALIAS]} if alias else {}))
        self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), commit=st.sampled_from((*GOOD, UNFIT, UNLOADABLE)), moment=MOMENTS)
    def change_source(self, name: str, commit: str, moment: float) -> None:
        if name in self.versions:
            self.cluster.change_adapter(name, source={"uri": self._declare(name, commit)})
            self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), moment=MOMENTS)
    def move_alias(self, name: str, moment: float) -> None:
        for other in self.versions:
            self.cluster.change_adapter(other, aliases=[ALIAS] if other == name else None)
        self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), priority=st.integers(-1, 2), moment=MOMENTS)
    def change_priority(self, name: str, priority: int, moment: float) -> None:
        if name in self.versions:
            self.cluster.change_adapter(name, priority=priority)
            self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), replicas=st.none() | st.integers(1, 3), moment=MOMENTS)
    def spread(self, name: str, replicas: int | None, moment: float) -> None:
        if name in self.versions:
            self.cluster.change_adapter(name, replicas=replicas)
            self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), moment=MOMENTS)
    def delete(self, name: str, moment: float) -> None:
        if self.versions.pop(name, None):
            self.cluster.delete_adapter(name)
            self.cluster.pass_time(moment)

    @rule(replicas=st.integers(1, 3), moment=MOMENTS)
    def scale(self, replicas: int, moment: float) -> None:
        if replicas < len(self.cluster.replicas):
            self.promises.loss()
        self.cluster.change_server(replicas=replicas)
        self.cluster.pass_time(moment)

    # --- misfortune -------------------------------------------------------------------------------------------------

    @rule(number=st.integers(0, 2), moment=MOMENTS)
    def crash_an_engine(self, number: int, moment: float) -> None:
        self.promises.loss()
        self._replica(number).crash_engine()
        self.cluster.pass_time(moment)

    @rule(number=st.integers(0, 2), moment=MOMENTS)
    def kill_an_agent(self, number: int, moment: float) -> None:
        self._replica(number).kill_agent()
        self.cluster.pass_time(moment)

    @rule(number=st.integers(0, 2), moment=MOMENTS)
    def lose_a_pod(self, number: int, moment: float) -> None:
        self.promises.loss()
        self.cluster.replace_pod(self._replica(number).pod)
        self.cluster.pass_time(moment)

    @rule(moment=MOMENTS)
    def kill_the_operator(self, moment: float) -> None:
        self.cluster.kill_operator()
        self.cluster.start_operator()
        self.cluster.pass_time(moment)

    @rule(away=st.booleans(), moment=MOMENTS)
    def lose_the_hub(self, away: bool, moment: float) -> None:
        self.cluster.hub.away = away
        self.cluster.pass_time(moment)

    @rule(times=st.integers(1, 5), carried_out=st.booleans(), moment=MOMENTS)
    def limit_the_api(self, times: int, carried_out: bool, moment: float) -> None:
        """So many writes of the operator are answered 429, or are carried out and the answer is lost."""
        left = [(Unreachable("429, or no answer"), carried_out)] * times
        writes = ("create", "apply")
        self.cluster.kube.trouble = lambda verb, _: left.pop() if left and verb in writes else None
        self.cluster.pass_time(moment)

    @rule(times=st.integers(1, 4), carried_out=st.booleans(), port=st.sampled_from((":8000", ":8001")), moment=MOMENTS)
    def break_connections(self, times: int, carried_out: bool, port: str, moment: float) -> None:
        """So many loads, unloads or pushes break, before or after they are carried out."""
        left = [(Broken("scripted"), carried_out)] * times

        def trouble(host: str, call: Any) -> Any:
            return left.pop() if left and host.endswith(port) and call.method != "GET" else None

        self.cluster.network.trouble = trouble
        self.cluster.pass_time(moment)

    @rule(deaf=st.booleans(), moment=MOMENTS)
    def lose_events(self, deaf: bool, moment: float) -> None:
        """Watches tell nothing, and nobody knows."""
        self.cluster.deaf = deaf
        self.cluster.pass_time(moment)

    @rule(hours=st.integers(-1, 1), moment=MOMENTS)
    def turn_the_clock(self, hours: int, moment: float) -> None:
        """The date of everybody jumps; how long things take does not."""
        self.cluster.objects.skew = timedelta(hours=hours)
        self.cluster.pass_time(moment)

    @rule(name=st.sampled_from(NAMES), stuck=st.booleans(), moment=MOMENTS)
    def hang_loads(self, name: str, stuck: bool, moment: float) -> None:
        for replica in self.cluster.replicas.values():
            (replica.engine.stuck.add if stuck else replica.engine.stuck.discard)(name)
        self.cluster.pass_time(moment)

    # --- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def no_promise_is_broken(self) -> None:
        if hasattr(self, "promises"):
            assert list(self.promises.broken) == []

    def teardown(self) -> None:
        """Nothing goes wrong any more: all comes to rest, as wanted."""
        if not hasattr(self, "cluster"):
            return
        try:
            self._heal()
            self.cluster.pass_time(REST)
            self._all_is_as_wanted()
            self._nothing_moves()
            self.no_promise_is_broken()
        finally:
            self.sampling.cancel()
            self.stack.close()

    def _heal(self) -> None:
        self.cluster.hub.away = self.cluster.deaf = False
        self.cluster.kube.trouble = lambda verb, resource: None
        self.cluster.network.trouble = lambda host, call: None
        for replica in self.cluster.replicas.values():
            replica.engine.stuck.clear()

    def _all_is_as_wanted(self) -> None:
        listed: dict[str, set[str]] = {pod: set(each.engine.lists) for pod, each in self.cluster.replicas.items()}
        allowed = set()
        for name, commit in self.versions.items():
            status = self.cluster.status(name)
            ready = next(each for each in status.conditions if each.type == "Ready")
            wanted = b.entry(name, commit).engine_name
            if commit in GOOD and ready.reason not in ("NoCapacity", "NameConflict"):
                assert (ready.status, status.engine_name) == ("True", wanted), f"{name}: {ready.message}"
                assert any(wanted in names for names in listed.values())
            allowed |= {status.engine_name, wanted}
        extra = {pod: names - allowed for pod, names in listed.items()}
        assert not any(extra.values()), f"still there: {extra}"

    def _nothing_moves(self) -> None:
        loads = {pod: len(each.engine.loads) for pod, each in self.cluster.replicas.items()}
        before = {(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in self.cluster.adapters()}
        self.cluster.pass_time(40.0)
        after = {(one["metadata"]["name"], one["metadata"]["resourceVersion"]) for one in self.cluster.adapters()}
        assert after == before, "a status was written at rest"
        assert {pod: len(each.engine.loads) for pod, each in self.cluster.replicas.items()} == loads

    def _declare(self, name: str, commit: str) -> str:
        uri = b.source_uri(name, commit)
        self.versions[name] = commit
        self.promises.declared.append(Version(name, uri, b.digest_of(uri)))
        return uri

    def _replica(self, number: int) -> Any:
        return self.cluster.replicas[sorted(self.cluster.replicas)[number % len(self.cluster.replicas)]]


EXAMPLES = int(os.environ.get("LORIKEET_LIVES", "15"))
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
Life.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=25,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
TestLife = Life.TestCase
