"""What a host finds in its user data: a script that writes its part of cluster-setup, and its facts."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from lorikeet.testing.terraform import Terraform, copied

ROOT = Path(__file__).parents[2]
SETUP = ROOT / "cluster-setup"
ODD = 'it\'s "two"\nlines of $HOME, $(id), `id`, ${x} and \\\\ %{ for }'
HOSTS = {"control-plane": "cp1", "worker": "worker1", "gpu-worker": "gpu1"}
OF_CONTROL_PLANES = {
    "aws/publish-join",
    "manifests/nvidia.yaml",
    "steps/apiserver.sh",
    "steps/deploy-device-plugin",
    "steps/init-control-plane",
    "steps/verify-cluster.sh",
    "steps/verify-pods.sh",
}
LACKS = {
    "control-plane": {"aws/await-join", "steps/join", "steps/install-gpu-drivers"},
    "worker": {*OF_CONTROL_PLANES, "steps/install-gpu-drivers"},
    "gpu-worker": OF_CONTROL_PLANES,
}


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Role → script, made with odd values by the module's own code; no provider is needed for that."""
    folder = tmp_path_factory.mktemp("user-data")
    node = copied(ROOT, folder) / "modules/node"
    for part in ("main.tf", "outputs.tf", "versions.tf"):
        (node / part).unlink()
    (node / "outputs.tf").write_text('output "user_data" {\n  value = local.user_data\n}\n')
    cluster = {"name": "birds", "region": "eu-central-1", "join_parameter": "/birds/join", "environment": {"ODD": ODD}}
    place = {"subnet_id": "subnet-1", "security_group_id": "sg-1", "instance_profile": "birds-worker", "root_gib": 150}
    host = {"instance_type": "g4dn.xlarge", "ami_id": "ami-0123456789abcdef0"}
    (node / "terraform.tfvars.json").write_text(json.dumps({"cluster": cluster, **host, **place}))
    terraform = Terraform(node)
    terraform("init", "-no-color")
    for role, name in HOSTS.items():
        terraform("apply", "-no-color", "-auto-approve", f"-var=role={role}", f"-var=name={name}")
        (folder / role).write_bytes(gzip.decompress(base64.b64decode(terraform.outputs()["user_data"])))
    return {role: folder / role for role in HOSTS}


@pytest.mark.parametrize("role", HOSTS)
def test_it_writes_the_files_of_the_repository_without_their_comments(
    role: str, scripts: dict[str, Path], tmp_path: Path
) -> None:
    written = written_by(scripts[role], tmp_path) / "opt/lorikeet/cluster-setup"
    files = {str(path.relative_to(written)): path for path in written.rglob("*") if path.is_file()}
    assert set(files) == set(for_real_hosts()) - LACKS[role]
    for name, path in files.items():
        original = SETUP / name
        assert path.read_bytes() == without_comments(original.read_bytes()), name
        assert bool(path.stat().st_mode & 0o111) == bool(original.stat().st_mode & 0o111), name


@pytest.mark.parametrize("role", HOSTS)
def test_it_and_every_script_it_writes_is_bash(role: str, scripts: dict[str, Path], tmp_path: Path) -> None:
    assert scripts[role].read_bytes().startswith(b"#!/bin/bash\n")
    written = written_by(scripts[role], tmp_path) / "opt/lorikeet/cluster-setup"
    programs = [path for path in written.rglob("*") if path.is_file() and path.suffix != ".yaml"]
    for program in (scripts[role], *programs):
        subprocess.run(["bash", "-n", str(program)], check=True, timeout=30)


@pytest.mark.parametrize("role", HOSTS)
def test_what_its_programs_source_is_there(role: str, scripts: dict[str, Path], tmp_path: Path) -> None:
    steps = written_by(scripts[role], tmp_path) / "opt/lorikeet/cluster-setup/steps"
    # `verify` sources these on a control plane alone.
    elsewhere = {"verify-cluster.sh", "verify-pods.sh"} if role != "control-plane" else set()
    sourced = {name for path in steps.iterdir() for name in re.findall(r'source "\$here/([\w./-]+)"', path.read_text())}
    assert len(sourced) > 4
    assert not [name for name in sourced - elsewhere if not (steps / name).is_file()]


@pytest.mark.parametrize("role", HOSTS)
def test_its_facts_reach_a_shell_as_they_are_and_only_root_reads_them(
    role: str, scripts: dict[str, Path], tmp_path: Path
) -> None:
    facts = written_by(scripts[role], tmp_path) / "etc/lorikeet/node.env"
    assert facts.stat().st_mode & 0o777 == 0o600
    show = f"set -a; source {shlex.quote(str(facts))}; env -0"
    done = subprocess.run(
        ["bash", "-c", show], env={"PATH": "/usr/bin:/bin"}, capture_output=True, timeout=30, check=True
    )
    seen = dict(entry.split("=", 1) for entry in done.stdout.decode().split("\0") if entry)
    wanted = {
        "AWS_REGION": "eu-central-1",
        "LORIKEET_CLUSTER_NAME": "birds",
        "LORIKEET_JOIN_PARAMETER": "/birds/join",
        "LORIKEET_NODE": HOSTS[role],
        "LORIKEET_ROLE": role,
        "ODD": ODD,
    }
    assert {name: seen.get(name) for name in wanted} == wanted


def test_on_a_host_it_goes_on_to_make_it_a_node_and_fails_as_that_does(
    scripts: dict[str, Path], tmp_path: Path
) -> None:
    """In a file system of its own: the script's places are the real ones."""
    script = scripts["worker"]
    log = in_a_host(script, "echo 'a node at last'", tmp_path)
    assert log.returncode == 0, log.stderr
    assert log.stdout == "a node at last\na node at last\n", "not on the console and in the log"
    assert in_a_host(script, "exit 3", tmp_path).returncode == 3


def in_a_host(script: Path, node: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Runs the script with a cluster-setup/aws/node that does just this; then shows the log."""
    program = shlex.quote(f"#!/bin/sh\n{node}\n")
    put = f"  put 0755 /opt/lorikeet/cluster-setup/aws/node {program}\n"
    changed = scratch / "changed"
    changed.write_text(script.read_text().replace("  [[ -z $root ]]", f"{put}  [[ -z $root ]]", 1))
    own = "for place in /etc /opt /var/log; do mount -t tmpfs tmpfs $place; done"
    run = f"set -e; {own}; bash {changed}; cat /var/log/lorikeet-setup.log"
    command = ["unshare", "--mount", "bash", "-c", run]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def written_by(script: Path, scratch: Path) -> Path:
    """The root of a host on which the script was run as far as writing goes."""
    root = scratch / "host"
    subprocess.run(["bash", script], env={"PATH": "/usr/bin:/bin", "LORIKEET_ROOT": str(root)}, check=True, timeout=30)
    return root


def for_real_hosts() -> list[str]:
    """The files of cluster-setup that are not for local machines, committed or about to be."""
    command = ["git", "-C", str(SETUP), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.split()
    parts = ("versions.sh", "say.sh", "steps/", "aws/", "manifests/", "sources/ubuntu.sh")
    return [name for name in listed if name.startswith(parts) and name != "manifests/device-plugin.yaml"]


def without_comments(content: bytes) -> bytes:
    """The first line may be `#!`."""
    first, *rest = content.splitlines(keepends=True)
    kept = [first] if first.startswith(b"#!") or not first.startswith(b"#") else []
    return b"".join(kept + [line for line in rest if not line.lstrip(b" \t").startswith(b"#")])
