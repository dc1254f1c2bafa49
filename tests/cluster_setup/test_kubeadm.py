"""What kubeadm is told: read by kubeadm itself, for each kind of host and each role."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from lorikeet.testing.apiserver.binaries import find
from lorikeet.testing.host import SETUP, Host

KINDS = ["local", "ubuntu"]
HASH = "sha256:" + "0" * 64
WORKER = f"worker_config 10.0.0.1:6443 abcdef.0123456789abcdef {HASH}"
GPU_WORKER = (
    'NODE_LABELS=("${GPU_NODE_LABELS[@]}") NODE_TAINTS=(nvidia.com/gpu=present:NoSchedule)\n'
    'KUBELET_FLAGS="image-credential-provider-bin-dir=/opt/x image-credential-provider-config=/var/y.yaml"\n' + WORKER
)
ROLES = {"control plane": "control_plane_config 10.0.0.1", "worker": WORKER, "gpu worker": GPU_WORKER}


def rendered(host: Host, kind: str, role: str) -> str:
    files = ("say.sh", "versions.sh", f"sources/{kind}.sh", "steps/kubeadm.sh")
    sourced = "".join(f"source {SETUP / file}\n" for file in files)
    done = host.run("bash", "-c", f"set -euo pipefail\n{sourced}{ROLES[role]}")
    assert done.status == 0, done.said
    return done.out


def documents(host: Host, kind: str, role: str) -> dict[str, dict[str, Any]]:
    return {body["kind"]: body for body in yaml.safe_load_all(rendered(host, kind, role))}


def arguments(part: dict[str, Any], field: str = "extraArgs") -> dict[str, str]:
    return {one["name"]: one["value"] for one in part[field]}


@pytest.mark.integration
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", KINDS)
def test_kubeadm_accepts_every_word_of_it(host: Host, kind: str, role: str) -> None:
    file = host.folder / "kubeadm.yaml"
    file.write_text(rendered(host, kind, role))
    done = host.run(find("kubeadm")["kubeadm"], "config", "validate", "--config", file)
    assert (done.status, done.out) == (0, "ok\n"), done.said


@pytest.mark.parametrize("kind", KINDS)
def test_an_api_server_audits_encrypts_and_serves_nobody_without_a_name(host: Host, kind: str) -> None:
    flags = arguments(documents(host, kind, "control plane")["ClusterConfiguration"]["apiServer"])
    assert {"authentication-config", "audit-policy-file", "encryption-provider-config"} <= set(flags)
    assert (flags["audit-log-maxage"], flags["audit-log-maxbackup"], flags["audit-log-maxsize"]) == ("30", "10", "100")
    assert flags["profiling"] == "false"


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_api_server_reads_and_writes_is_mounted_into_it(host: Host, kind: str) -> None:
    server = documents(host, kind, "control plane")["ClusterConfiguration"]["apiServer"]
    mounted = [volume["mountPath"] for volume in server["extraVolumes"]]
    files = [value for value in arguments(server).values() if value.startswith("/")]
    assert len(files) == 4
    assert all(any(file.startswith(f"{folder}/") for folder in mounted) for file in files)


@pytest.mark.parametrize("kind", KINDS)
def test_image_tags_are_kubeadms_own_unless_the_host_has_others(host: Host, kind: str) -> None:
    cluster = documents(host, kind, "control plane")["ClusterConfiguration"]
    assert ("etcd" in cluster, "dns" in cluster) == ((True, True) if kind == "local" else (False, False))


def test_a_gpu_worker_joins_with_its_labels_its_taint_and_its_kubelets_flags(host: Host) -> None:
    node = documents(host, "ubuntu", "gpu worker")["JoinConfiguration"]["nodeRegistration"]
    assert node["taints"] == [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}]
    assert arguments(node, "kubeletExtraArgs") == {
        "node-labels": "nvidia.com/gpu.present=true,lorikeet.dev/gpu=true",
        "image-credential-provider-bin-dir": "/opt/x",
        "image-credential-provider-config": "/var/y.yaml",
    }


def test_a_plain_worker_joins_with_nothing_of_its_own(host: Host) -> None:
    node = documents(host, "ubuntu", "worker")["JoinConfiguration"]["nodeRegistration"]
    assert set(node) == {"criSocket", "imagePullPolicy"}


def test_the_audit_policy_logs_who_touches_secrets_but_never_what_is_in_them(host: Host) -> None:
    done = host.run("bash", "-c", f"source {SETUP}/steps/apiserver.sh; audit_policy")
    rules = yaml.safe_load(done.out)["rules"]
    secrets = [
        rule for rule in rules if any("secrets" in one.get("resources", []) for one in rule.get("resources", []))
    ]
    assert [rule["level"] for rule in secrets] == ["Metadata"]
    before = rules[: rules.index(secrets[0])]
    assert all("verbs" not in rule or "resources" in rule for rule in before), "a rule before it swallows secrets"
    assert rules[-1] == {"level": "Metadata"}


def test_each_host_makes_a_key_of_32_bytes_of_its_own(host: Host) -> None:
    def key() -> str:
        text = host.run("bash", "-c", f"source {SETUP}/steps/apiserver.sh; encryption").out
        provider = yaml.safe_load(text)["resources"][0]["providers"][0]
        return str(provider["secretbox"]["keys"][0]["secret"])

    first, second = key(), key()
    assert first != second
    assert len(first) == 44
