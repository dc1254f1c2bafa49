"""Removal on a real cluster, in any order (P14, P15): each ends by itself, for no object of ours has a finalizer.
These tests take the demo away piece by piece, so they are its last, and each goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lorikeet.testing.cluster import until
from lorikeet.testing.demo import ADAPTERS, GATEWAY, QUESTION, SYSTEM, Demo
from lorikeet.testing.prober import ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "manifests" / "samples"
DEMO = Demo(ROOT)
CLUSTER = DEMO.cluster
kubectl = CLUSTER.kubectl
SERVERS = "modelservers.lorikeet.dev"
TEAM = ("-n", "team")


@pytest.fixture(scope="module", autouse=True)
def team(demo: str) -> None:
    """A namespace with a server and an adapter of its own; it gets ready meanwhile."""
    kubectl("create", "namespace", "team")
    kubectl("apply", *TEAM, "-f", str(SAMPLES / "tiny-cpu.yaml"), "-f", str(SAMPLES / "pirate.yaml"))


@pytest.mark.usefixtures("answers")
def test_an_adapter_goes_at_once_while_an_engine_is_stopped_which_forgets_it_when_it_goes_on() -> None:
    """P14, P15."""
    pod = next(iter(DEMO.pods().values()))
    name, status = pod["metadata"]["name"], CLUSTER.get(ADAPTERS, "poet")["status"]
    with stopped(pod):
        delete(ADAPTERS, "poet")
        until("nobody asks for it any more", lambda: ask(GATEWAY, "poet", QUESTION)[0] == 404)
    until("the engine has forgotten it", lambda: status["engineName"] not in DEMO.engine(name)["names"])
    assert DEMO.engine(name)["boot"], "the engine answers"
    until("its files are gone", lambda: status["digest"] not in staged(name))


def test_a_server_goes_before_its_adapters_which_say_so_and_go_as_well(demo: str) -> None:
    """P14."""
    kubectl("apply", "-f", str(SAMPLES / "poet.yaml"))
    delete("msv", "tiny")
    until("no pod is left", lambda: not CLUSTER.items("pod", "-l", "lorikeet.dev/server=tiny"))
    for adapter in ("pirate", "poet"):
        until(f"{adapter} says so", lambda adapter=adapter: "tiny" in no_server(adapter))
        assert ask(GATEWAY, adapter, QUESTION)[0] == 503
    delete(ADAPTERS, "poet")
    until("it is unknown", lambda: ask(GATEWAY, "poet", QUESTION)[0] == 404)


def test_a_namespace_goes_with_all_that_is_in_it(demo: str) -> None:
    """P14. Whatever Kubernetes deletes first."""
    kubectl("wait", *TEAM, "--for=condition=Ready", f"{ADAPTERS}/pirate", "--timeout=120s", seconds=130)
    assert ask(GATEWAY, "team:pirate", QUESTION)[0] == 200
    delete("namespace", "team")
    until("it is unknown", lambda: ask(GATEWAY, "team:pirate", QUESTION)[0] == 404)


def test_the_chart_goes_before_its_objects_which_go_without_it(demo: str) -> None:
    """P14. Engines that run are nobody's hostages: what nobody looks after can still be taken away."""
    kubectl("apply", "-f", str(SAMPLES / "tiny-cpu.yaml"), "-f", str(SAMPLES / "poet.yaml"))
    until("it has replicas again", lambda: len(DEMO.pods()) == 2)
    CLUSTER.helm("uninstall", "lorikeet", *SYSTEM, "--wait")
    assert {one["metadata"]["name"] for one in CLUSTER.items(ADAPTERS)} == {"pirate", "poet"}
    delete(ADAPTERS, "pirate")
    delete("msv", "tiny")
    until("no pod is left", lambda: not CLUSTER.items("pod", "-l", "lorikeet.dev/server=tiny"))
    delete(ADAPTERS, "poet")
    delete("crd", ADAPTERS, SERVERS)
    # A namespace looks again after half the time that its pods may take, and gateways may take two minutes.
    until("no process of ours is left", lambda: not CLUSTER.items("pod", *SYSTEM))
    delete("namespace", SYSTEM[1])


@contextmanager
def stopped(pod: dict[str, Any]) -> Iterator[None]:
    CLUSTER.signal(pod, "engine", "SIGSTOP")
    try:
        yield
    finally:
        CLUSTER.signal(pod, "engine", "SIGCONT")


def delete(kind: str, *names: str) -> None:
    """Ends when they are gone; a finalizer that nobody takes away would hold them."""
    if kind in (ADAPTERS, "msv"):
        assert not [one for name in names for one in CLUSTER.get(kind, name)["metadata"].get("finalizers", ())]
    kubectl("delete", kind, *names)


def no_server(adapter: str) -> str:
    """The message of an adapter that finds no server; empty for any other."""
    conditions = CLUSTER.get(ADAPTERS, adapter)["status"].get("conditions", [])
    return "".join(one["message"] for one in conditions if (one["type"], one["reason"]) == ("Ready", "ServerNotFound"))


def staged(pod: str) -> list[str]:
    return DEMO.in_agent(pod, "ls", "-A", "/adapters/store").split()
