"""How an EC2 host becomes a node: which steps it runs, and how it goes on after a failure."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lorikeet.testing.host import SETUP, Done, Host, write_node_env

pytestmark = pytest.mark.slow

WORDS = "10.0.0.1:6443 abcdef.0123456789abcdef sha256:" + "0a" * 32
"""What await-join prints."""


@pytest.fixture
def node(host: Host) -> Host:
    """cluster-setup as user data writes it, with steps that only write down that they ran."""
    tree = host.folder / "cluster-setup"
    for part in ("aws", "sources"):
        shutil.copytree(SETUP / part, tree / part)
    for part in ("say.sh", "versions.sh"):
        shutil.copy(SETUP / part, tree / part)
    seam = [f'{name}() {{ seam-{name} "$@"; }}' for name in ("set_hostname", "run_hourly", "install_aws_cli")]
    (tree / "sources" / "ubuntu.sh").write_text("\n".join(seam))
    (tree / "steps").mkdir()
    steps = [file.name for file in (SETUP / "steps").iterdir() if file.suffix != ".sh"]
    for name in (*steps, "seam-set_hostname", "seam-run_hourly", "seam-install_aws_cli"):
        host.program(name, "exit 0")
    for name in steps:
        (tree / "steps" / name).symlink_to(host.folder / "bin" / name)
    for name in ("publish-join", "await-join"):
        host.program(name, f"echo '{WORDS}'")
        (tree / "aws" / name).unlink()
        (tree / "aws" / name).symlink_to(host.folder / "bin" / name)
    host.program("ip", "echo '192.0.2.1 via 10.0.0.254 dev ens5 src 10.0.0.5 uid 0'")
    host.environment["LORIKEET_STATE"] = str(host.folder / "lib")
    return host


def become(node: Host, role: str, **environment: str) -> Done:
    write_node_env(node, role, "n1")
    return node.run(node.folder / "cluster-setup" / "aws" / "node", **environment)


def ran(node: Host) -> list[str]:
    return [call.removesuffix(" ") for call in node.calls() if not call.startswith(("ip ", "sleep "))]


BEGINNING = [
    "seam-set_hostname n1",
    "seam-run_hourly lorikeet-node {tree}/aws/node",
    "seam-install_aws_cli",
    "install-k8s",
]
ROLES = {
    "control-plane": ["init-control-plane 10.0.0.5", "publish-join", "install-cni", "deploy-device-plugin"],
    "worker": ["await-join", f"join {WORDS}", "install-cni"],
    "gpu-worker": ["install-gpu-drivers", "await-join", f"join --gpu {WORDS}", "install-cni"],
}


@pytest.mark.parametrize("role", ROLES)
def test_a_host_runs_the_steps_of_its_role_in_order(node: Host, role: str) -> None:
    done = become(node, role)
    assert done.status == 0, done.said
    beginning = [line.format(tree=node.folder / "cluster-setup") for line in BEGINNING]
    assert ran(node) == beginning + ROLES[role]


@pytest.mark.parametrize(("role", "then"), [("control-plane", ["publish-join"]), ("worker", []), ("gpu-worker", [])])
def test_an_hour_later_only_the_control_plane_has_something_to_do(node: Host, role: str, then: list[str]) -> None:
    become(node, role)
    node.forget_calls()
    assert become(node, role).status == 0
    assert ran(node) == then


@pytest.mark.parametrize("broken", ["install-k8s", "install-gpu-drivers", "install-cni", "await-join"])
def test_a_step_that_fails_ends_the_run_and_the_next_run_goes_on(node: Host, broken: str) -> None:
    node.program(broken, "exit 1")
    assert become(node, "gpu-worker").status == 1
    assert ran(node)[-1].startswith(broken)
    node.program(broken, f"[[ $(basename $0) != await-join ]] || echo '{WORDS}'")
    assert become(node, "gpu-worker").status == 0
    assert ran(node)[-1] == "install-cni"


def test_a_join_that_fails_reads_the_facts_again_up_to_a_limit(node: Host) -> None:
    node.program("join", 'echo >>"$state/joins"; [[ $(wc -l <"$state/joins") -ge 3 ]]')
    done = become(node, "worker")
    assert done.status == 0, done.said
    assert [call.split()[0] for call in ran(node)[4:]] == ["await-join", "join"] * 3 + ["install-cni"]
    node.program("join", "exit 1")
    (node.folder / "lib" / "done").unlink()
    done = become(node, "worker", LORIKEET_JOIN_TRIES="2")
    assert done.status == 1
    assert "n1: no join succeeded in 2 tries; /var/log/kubeadm-join.log has the last one" in done.said


def test_an_unknown_role_is_refused(node: Host) -> None:
    done = become(node, "queen")
    assert done.status == 1
    assert "LORIKEET_ROLE is 'queen'" in done.said


def test_a_second_run_beside_the_first_leaves_the_work_to_it(node: Host) -> None:
    again = node.folder / "cluster-setup" / "aws" / "node"
    node.program("install-k8s", f'"{again}" 2>"$state/second"')
    assert become(node, "worker").status == 0
    assert "n1: another run of this is under way" in (node.folder / "state/second").read_text()
    assert ran(node).count("seam-install_aws_cli") == 1


def test_what_a_run_leaves_running_does_not_hold_its_lock(node: Host) -> None:
    node.program("install-k8s", '/bin/sleep 30 </dev/null >/dev/null 2>&1 & echo $! >"$state/left"')
    become(node, "control-plane")
    node.forget_calls()
    try:
        become(node, "control-plane")
        assert ran(node) == ["publish-join"]
    finally:
        node.run("bash", "-c", f"kill $(cat {node.folder}/state/left)")


def test_the_kind_of_host_that_was_said_once_is_remembered(node: Host) -> None:
    other = node.folder / "other.sh"
    shutil.copy(node.folder / "cluster-setup/sources/ubuntu.sh", other)
    node.program("install-k8s", "echo $SOURCES >>$state/seam; exit 1")
    become(node, "worker", SOURCES=str(other))
    become(node, "worker")
    assert (node.folder / "state/seam").read_text().split() == [str(other)] * 2


def test_the_kubelet_is_told_of_the_credential_provider(node: Host) -> None:
    node.program("join", "echo $KUBELET_FLAGS >$state/flags")
    become(node, "worker")
    flags = dict(word.split("=", 1) for word in (node.folder / "state/flags").read_text().split())
    assert Path(flags["image-credential-provider-bin-dir"], "ecr-credentials").exists()
    assert "name: ecr-credentials" in Path(flags["image-credential-provider-config"]).read_text()
