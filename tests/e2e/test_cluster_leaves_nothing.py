"""A local cluster goes up and down again, and the host is as it was. It is a cluster of its own, beside any other."""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

LOCAL = Path(__file__).parents[2] / "cluster-setup" / "local"
NAME = "leaves"
ENVIRONMENT = {**os.environ, "LORIKEET_CLUSTER": NAME, "LORIKEET_NETWORK": "10.203.0"}
# Also in a running cluster: its mounts are in its machines' namespaces, and another cluster may have set the sysctl.
INVISIBLE = {"mounts", "sysctls"}
PORT, NODE_PORT = "18099", "30099"


@pytest.fixture(autouse=True)
def ends_even_when_the_test_fails() -> Iterator[None]:
    yield
    cluster_setup("down", "--images")


def test_a_cluster_that_went_up_and_down_leaves_nothing_on_the_host() -> None:
    before = observe_host()
    cluster_setup("up")
    cluster_setup("forward", PORT, NODE_PORT)
    while_up = observe_host()
    cluster_setup("down", "--images")

    after = observe_host()
    left = {what: sorted(after[what] ^ before[what]) for what in before if after[what] != before[what]}
    assert not left, f"left behind or taken away: {left}"
    unseen = [what for what in before if what not in INVISIBLE and while_up[what] == before[what]]
    assert not unseen, f"a running cluster shows no {unseen}: this test would not see them stay behind"


def cluster_setup(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [LOCAL / script, *arguments], env=ENVIRONMENT, text=True, capture_output=True, check=False, timeout=1000
    )
    assert done.returncode == 0, f"{script} failed:\n{done.stderr[-3000:]}"


def observe_host() -> dict[str, set[str]]:
    """What a cluster is made of, in words. What happens inside the machines of another cluster is not looked at."""
    return {
        "processes": processes(),
        "mounts": mounts(),
        "network namespaces": network_namespaces(),
        "control groups": control_groups(),
        "links": listed(Path("/sys/class/net")),
        "nftables": set(output("nft", "list", "tables").splitlines()),
        "routes": set(output("ip", "route", "show", "table", "all").splitlines()),
        "sockets": {line.split()[3] for line in output("ss", "-Hltn").splitlines() if line.split()[3].endswith(PORT)},
        "sysctls": {Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()},
    }


def mounts() -> set[str]:
    """Without those of buildah's store, which come and go with every build on this host."""
    points = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return {point for point in points if not point.startswith("/var/lib/containers/storage/")}


def processes() -> set[str]:
    """Those that were started for the cluster: by their environment, or, in containers, by their control group."""
    return {folder.name for folder in Path("/proc").glob("[0-9]*") if is_of_the_cluster(folder)} - {str(os.getpid())}


def is_of_the_cluster(process: Path) -> bool:
    marks = {"environ": f"LORIKEET_CLUSTER={NAME}\0".encode(), "cgroup": f":/{NAME}-".encode()}
    for file, mark in marks.items():
        with suppress(OSError):  # it has ended meanwhile, or is the host's own and closed even to root
            if mark in (process / file).read_bytes():
                return True
    return False


def network_namespaces() -> set[str]:
    """Those with a name, and those of processes outside the machines of other clusters."""
    found = listed(Path("/run/netns"))
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            machine = re.search(r":/(\w+)-(?:cp|gpu|worker)\d", (process / "cgroup").read_text())
            if machine is None or machine[1] == NAME:
                found.add(str((process / "ns" / "net").readlink()))
    return found


def control_groups() -> set[str]:
    """The top of every hierarchy: a group can only go when all below it are gone."""
    return {
        f"{root.name}/{name}"
        for root in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]
        if root.is_dir()
        for name in listed(root)
        if (root / name).is_dir()
    }


def listed(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def output(*command: str) -> str:
    return subprocess.run(command, text=True, capture_output=True, check=True, timeout=30).stdout
