"""Misfortune on a real cluster: a machine loses its power, an address gets another owner, an engine hangs. Clients ask
all the time, and every request is answered rightly. Counts and order are held, not seconds."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lorikeet.testing.cluster import until
from lorikeet.testing.demo import SYSTEM, WORKERS, Demo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
DEMO = Demo(ROOT)
CLUSTER = DEMO.cluster
kubectl = CLUSTER.kubectl
STAYS, GOES = WORKERS
ENOUGH = 50
"""Answers that show that things go on."""
TAINTS = ("node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready")
STAY = {"kubernetes.io/hostname": STAYS}
APART = {
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "topologyKey": "kubernetes.io/hostname",
                    "labelSelector": {"matchLabels": {"lorikeet.dev/server": "tiny"}},
                }
            ]
        }
    },
    "tolerations": [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5} for key in TAINTS
    ],
}
LISTEN = """
import os, socket, threading
def listen(port):
    with socket.create_server(("", port)) as server:
        while True:
            peer, _ = server.accept()
            peer.settimeout(2)
            with peer:
                try: said = peer.recv(65536)
                except OSError: said = b""
                os.write(1, f"{port} {said}\\n".encode())  # in one piece: there are two threads
threads = [threading.Thread(target=listen, args=(port,)) for port in (8000, 8001)]
for thread in threads: thread.start()
"""
CALL = """
import socket, sys, time
def call(port):
    with socket.create_connection((sys.argv[1], port), 1) as peer: peer.sendall(b"can you hear me?")
for port in (8000, 8001):
    for patience in reversed(range(60)):
        try: call(port); break
        except OSError:
            if not patience: raise
            time.sleep(0.5)
"""


@pytest.fixture(scope="module", autouse=True)
def apart(demo: str) -> None:
    """A replica on each machine, all else on the one that stays: Kubernetes has its own ways with lost gateways."""
    patch("msv", "tiny", {"replicas": 2, "podTemplate": APART})
    patch("deployment", "hub", {"template": {"spec": {"nodeSelector": STAY}}}, "-n", "lorikeet-demo")
    values = ("--reuse-values", "--set-json", f"nodeSelector={json.dumps(STAY)}")
    CLUSTER.helm("upgrade", "lorikeet", str(ROOT / "charts/lorikeet"), *SYSTEM, *values, "--wait")
    kubectl("wait", "--for=condition=Ready", "msv/tiny", "--timeout=180s", seconds=200)
    until("there is a replica on each", lambda: {where(pod) for pod in DEMO.pods().values()} == set(WORKERS))


def test_a_machine_without_power_is_out_of_rotation_before_kubernetes_misses_it_and_no_request_fails(
    answers: dict[str, str],
) -> None:
    """P32. Then Kubernetes evicts the replica; its successor waits for the machine, and has the adapters once that is
    back, by itself."""
    lost = replica_on(GOES)
    with DEMO.probing(answers) as outcomes:
        with no_power():
            until("it is out of rotation", lambda: not serves(lost))
            assert is_ready(GOES)
            go_on(outcomes)
            until("Kubernetes misses the machine", lambda: not is_ready(GOES))
            until("the successor finds no node", lambda: "finds no node" in DEMO.message("msv", "tiny"))
            assert lost["metadata"]["uid"] not in DEMO.pods()
        until("both are in rotation", lambda: len(DEMO.pods()) == 2 and all(map(serves, DEMO.pods().values())))
        until("all is Ready", lambda: DEMO.answers() == answers)
        go_on(outcomes)
    assert set(outcomes()) == {"right"}, outcomes()
    assert set(DEMO.engine(name(replica_on(GOES)))["names"]) == DEMO.wanted()


def test_whoever_gets_the_address_of_a_replica_that_is_gone_hears_nothing(answers: dict[str, str]) -> None:
    """P32. Neither the operator's key nor the gateways' goes there, nor a client's question."""
    gone = replica_on(GOES)
    with DEMO.probing(answers) as outcomes, stranger_for(gone) as (stranger, address):
        CLUSTER.inside("cp1", "python3", "-c", CALL, address)
        go_on(outcomes)
        kubectl("uncordon", GOES)
        until("a successor is in rotation", lambda: len(DEMO.pods()) == 2 and all(map(serves, DEMO.pods().values())))
        go_on(outcomes)
        heard = kubectl("logs", stranger).splitlines()
    assert set(outcomes()) == {"right"}, outcomes()
    assert sorted(heard) == [f"{port} {b'can you hear me?'!r}" for port in (8000, 8001)]


def test_an_engine_that_hangs_is_restarted_and_has_its_adapters_back_and_every_request_is_answered(
    answers: dict[str, str],
) -> None:
    """P7. The operator says so and takes it out of rotation; the rest is the agent's and the kubelet's alone. Those who
    were asking it then are answered by the other replica."""
    hung = replica_on(GOES)
    before, restarts = DEMO.engine(name(hung)), restarts_of(hung)
    with DEMO.probing(answers, clients=3, patience=180) as outcomes:
        CLUSTER.signal(hung, "engine", "SIGUSR1")
        until("status says that it hangs", lambda: f"{name(hung)}'s engine hangs" in DEMO.message("msv", "tiny"))
        assert not serves(hung)
        assert restarts_of(hung) == restarts
        with DEMO.no_operator():
            go_on(outcomes)
            until("the kubelet has restarted it", lambda: restarts_of(hung) == restarts + 1)
            until("its adapters are back", lambda: DEMO.came_back(name(hung), before))
        until("it is in rotation again", lambda: serves(hung))
    assert set(outcomes()) == {"right"}, outcomes()


@contextmanager
def no_power() -> Iterator[None]:
    """For the machine that goes: at once, and nobody says farewell."""
    CLUSTER.script("cluster-setup/local/machine/stop", GOES)
    try:
        yield
    finally:
        DEMO.power_on()


@contextmanager
def stranger_for(gone: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Deletes the replica. Gives name and address of a pod that has its address now and writes down who calls."""
    address = gone["status"]["podIP"]
    kubectl("cordon", GOES)  # the successor would take the address
    try:
        kubectl("delete", "pod", name(gone))
        CLUSTER.inside(GOES, "ip", "neigh", "flush", "dev", "cni0")  # the way to it still leads to the one that is gone
        # host-local gives the address after the one it gave last
        last = "/var/lib/cni/networks/pods/last_reserved_ip.0"
        CLUSTER.inside(GOES, "sh", "-c", f"printf {ipaddress.ip_address(address) - 1} >{last}")
        kubectl("apply", "-f", "-", text=json.dumps(stranger_pod()))
        kubectl("wait", "--for=condition=Ready", "pod/stranger")
        assert CLUSTER.get("pod", "stranger")["status"]["podIP"] == address
        yield "stranger", address
    finally:
        kubectl("uncordon", GOES)
        kubectl("delete", "pod", "stranger", "--ignore-not-found", "--force")


def stranger_pod() -> dict[str, Any]:
    container = {
        "name": "listen",
        "image": "lorikeet-testing:dev",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", LISTEN],
    }
    spec = {"nodeName": GOES, "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranger"}, "spec": spec}


def go_on(outcomes: Any) -> None:
    """Wait until clients have had enough further answers."""
    before = outcomes()["right"]
    until(f"{ENOUGH} more requests are answered", lambda: outcomes()["right"] >= before + ENOUGH)


def replica_on(machine: str) -> dict[str, Any]:
    return next(pod for pod in DEMO.pods().values() if where(pod) == machine)


def name(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["name"])


def where(pod: dict[str, Any]) -> str:
    return str(pod["spec"].get("nodeName", ""))


def serves(pod: dict[str, Any]) -> bool:
    """Whether gateways are told to send requests to it."""
    endpoints = CLUSTER.get("msv", "tiny")["status"].get("endpoints", [])
    return any(one["ready"] for one in endpoints if one["pod"] == name(pod))


def restarts_of(pod: dict[str, Any]) -> int:
    statuses = CLUSTER.get("pod", name(pod))["status"]["containerStatuses"]
    return int(next(one["restartCount"] for one in statuses if one["name"] == "engine"))


def is_ready(machine: str) -> bool:
    """As Kubernetes sees it."""
    conditions = CLUSTER.get("node", machine)["status"]["conditions"]
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def patch(kind: str, object_name: str, spec: dict[str, Any], *where: str) -> None:
    kubectl("patch", kind, object_name, *where, "--type=merge", "-p", json.dumps({"spec": spec}))
