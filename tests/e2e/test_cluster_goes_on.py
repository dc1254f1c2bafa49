"""A local cluster is a cluster: pods get GPUs, and whatever is killed, `up` goes on from there. One of its own."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

LOCAL = Path(__file__).parents[2] / "cluster-setup" / "local"
NAME = "goeson"
CACHE = Path(os.environ.get("LORIKEET_CACHE", Path.home() / ".cache" / "lorikeet"))
STATE = CACHE / f"cluster-{NAME}"
ENVIRONMENT = {**os.environ, "LORIKEET_CLUSTER": NAME, "LORIKEET_NETWORK": "10.204.0"}
ENVIRONMENT["PATH"] = f"{CACHE / 'bin'}:{os.environ['PATH']}"


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    try:
        cluster_setup("up")
        yield
    finally:
        cluster_setup("down", "--images")


def test_a_pod_gets_the_gpus_it_asks_for_and_is_told_which() -> None:
    apply(pod("two-gpus", gpus=2))
    until(
        "two-gpus has ended", lambda: kubectl("get", "pod", "two-gpus", "-o", "jsonpath={.status.phase}") == "Succeeded"
    )
    assert len(kubectl("logs", "two-gpus").strip().split(",")) == 2


def test_a_pod_that_asks_for_more_gpus_than_there_are_is_told_so_by_the_scheduler() -> None:
    apply(pod("too-many", gpus=5))
    path = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
    until(
        "the scheduler speaks", lambda: "Insufficient nvidia.com/gpu" in kubectl("get", "pod", "too-many", "-o", path)
    )


def test_up_of_a_running_cluster_changes_nothing() -> None:
    before = kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}")
    cluster_setup("up")
    assert kubectl("get", "pods", "-A", "-o", "jsonpath={.items[*].metadata.uid}") == before


def test_services_outlive_a_restart_of_kube_proxy() -> None:
    def rules() -> str:
        return run(str(LOCAL / "in"), "cp1", "nft", "list", "map", "ip", "kube-proxy", "service-ips")

    def restarts() -> int:
        path = "jsonpath={.items[*].status.containerStatuses[0].restartCount}"
        return sum(
            map(int, kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-proxy", "-o", path).split())
        )

    assert "10.96.0.1 . tcp . 443" in rules()
    before = restarts()
    cluster_setup("in", "cp1", "pkill", "kube-proxy")
    until("kube-proxy has restarted", lambda: restarts() > before)
    pods = kubectl("-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-proxy", "-o", "name").split()
    until(
        "kube-proxy has read back what it wrote",
        lambda: all("serviceCIDR config" in kubectl("-n", "kube-system", "logs", one) for one in pods),
    )
    settled = time.monotonic() + 3
    while time.monotonic() < settled:
        assert "10.96.0.1 . tcp . 443" in rules()


def test_a_pod_pulls_what_was_pushed_to_the_registry(tmp_path: Path) -> None:
    pushed = run(str(LOCAL / "registry")).strip() + "/tests/pause:1"
    archive = next((CACHE / "images").glob("node-*/every/pause.tar"))
    run("tar", "-xf", str(archive), "-C", str(tmp_path))
    run("crane", "push", "--insecure", str(tmp_path), pushed)
    body = pod("pulled", gpus=0)
    body["spec"]["containers"][0] |= {"image": pushed, "imagePullPolicy": "Always", "command": ["/usr/local/bin/pause"]}  # type: ignore[index]
    apply(body)
    until("it runs", lambda: kubectl("get", "pod", "pulled", "-o", "jsonpath={.status.phase}") == "Running")


def test_the_device_plugin_registers_again_when_the_kubelet_restarts() -> None:
    before = registrations()
    cluster_setup("in", "gpu1", "systemctl", "restart", "kubelet")
    until("it registers again", lambda: registrations() > before)
    until("there are 4 GPUs", lambda: gpus("gpu1") == "4")


def test_after_every_process_was_killed_up_brings_the_same_cluster_back() -> None:
    kubectl("create", "configmap", "kept", "--from-literal=word=lorikeet")
    for machine in ("cp1", "gpu1"):
        os.kill(int((STATE / "machines" / machine / "pid").read_text()), signal.SIGKILL)
    cluster_setup("up")
    assert kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.word}") == "lorikeet"
    apply(pod("after", gpus=1))
    until("a new pod has run", lambda: kubectl("get", "pod", "after", "-o", "jsonpath={.status.phase}") == "Succeeded")


def pod(name: str, gpus: int) -> dict[str, object]:
    """Prints which GPUs it may see."""
    container = {
        "name": "show",
        "image": "lorikeet-testing:dev",
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", "import os; print(os.environ['NVIDIA_VISIBLE_DEVICES'])"],
        "resources": {"limits": {"nvidia.com/gpu": gpus}},
    }
    spec = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def apply(manifest: dict[str, object]) -> None:
    kubectl("apply", "-f", "-", text=json.dumps(manifest))


def gpus(node: str) -> str:
    return kubectl("get", "node", node, "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}")


def registrations() -> int:
    """From the log on the machine's disk: a kubelet that restarts cannot be asked for it."""
    logs = (STATE / "machines" / "gpu1" / "plain" / "log" / "pods").glob("*device-plugin*/device-plugin/*.log")
    return sum(log.read_text().count("registered 4 nvidia.com/gpu") for log in logs)


def kubectl(*arguments: str, text: str | None = None) -> str:
    return run("kubectl", "--kubeconfig", str(STATE / "kubeconfig"), *arguments, text=text)


def cluster_setup(script: str, *arguments: str) -> None:
    run(str(LOCAL / script), *arguments)


def run(*command: str, text: str | None = None) -> str:
    done = subprocess.run(
        command, input=text, env=ENVIRONMENT, text=True, capture_output=True, check=False, timeout=1000
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr[-3000:]}"
    return done.stdout


def until(what: str, holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        time.sleep(0.5)
