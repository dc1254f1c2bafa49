"""The CIS Kubernetes Benchmark 1.12, sections 1 to 4, asked of a cluster that cluster-setup's steps have made. A row is
a title with the benchmark's numbers, a command inside a machine, and what it has to print. Section 5 is about what runs
in the cluster: the chart's tests have that."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lorikeet.testing.cluster import Cluster, Failed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

RUNNING = os.environ.get("LORIKEET_CIS", "")
"""NAME NETWORK of a cluster that runs already, whoever made it; else one of our own is made."""
CLUSTER = Cluster(Path(__file__).parents[2], *(RUNNING.split() or ("cis", "10.206.0")))
ADMIN = "kubectl --kubeconfig /etc/kubernetes/admin.conf"
PKI = "/etc/kubernetes/pki"
ENCRYPTION = "/etc/kubernetes/apiserver/encryption.yaml"
SUITE = "TLS_ECDHE_(RSA|ECDSA)_WITH_(AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256)"
STATUS = "curl -sk -o /dev/null -w '%{http_code}'"

WAIVED = {
    "1.1.12": "etcd runs as root, as kubeadm has it: the host has no user etcd, and root alone enters its folder",
    "1.2.5": "kubelets' serving certificates are their own: the benchmark's way needs somebody who approves requests",
    "1.2.9": "priority and fairness, which is on, keeps one client's events from starving the others",
    "1.2.11": "images that were loaded onto a node, not pulled, could not be used; nodes are one tenant's",
    "3.1.1": "the certificate in admin.conf is for whoever runs the cluster; others get tokens or OIDC",
    "3.1.2": "the same, for service account tokens: no step hands one to a person",
    "3.1.3": "the same, for bootstrap tokens: they live for two hours and are for joining hosts",
    "4.1.1": "a local machine has no systemd; tests/cluster_setup/test_ubuntu.py has the file's mode on real hosts",
    "4.1.2": "the same",
    "4.2.9": "see 1.2.5",
    "4.2.11": "see 1.2.5: a request that nobody approves would leave a kubelet without logs and exec",
}


@dataclass(frozen=True)
class Row:
    """`prints`: a pattern for all of what `command` prints in `machine`."""

    title: str
    machine: str
    command: str
    prints: str


def mode(title: str, path: str, machine: str = "cp1", allowed: str = "600") -> Row:
    return Row(title, machine, f"stat -c '%a %U:%G' {path}", f"({allowed} root:root\n?)+")


def nothing(title: str, command: str) -> Row:
    return Row(title, "cp1", command, "")


def flag(title: str, program: str, name: str, prints: str, machine: str = "cp1") -> Row:
    """The value of a flag of a running program, nothing if it is not given."""
    cmdline = f"tr '\\0' '\\n' </proc/$(pgrep -of '^{program} ')/cmdline"
    return Row(title, machine, f"{cmdline} | sed -n 's/^--{name}=//p'", prints)


def api(title: str, name: str, prints: str) -> Row:
    return flag(title, "kube-apiserver", name, prints)


def kubelet(title: str, path: str, prints: str) -> Row:
    """What a worker's kubelet runs with, defaults included."""
    read = f"import functools, json, sys; print(functools.reduce(lambda a, b: a[b], '{path}'.split('.'), "
    read += "json.load(sys.stdin)['kubeletconfig']))"
    return Row(title, "cp1", f'{ADMIN} get --raw /api/v1/nodes/gpu1/proxy/configz | python3 -c "{read}"', prints)


ROWS = [
    mode("1.1.1 1.1.2 the API server's manifest", "/etc/kubernetes/manifests/kube-apiserver.yaml"),
    mode("1.1.3 1.1.4 the controller manager's", "/etc/kubernetes/manifests/kube-controller-manager.yaml"),
    mode("1.1.5 1.1.6 the scheduler's", "/etc/kubernetes/manifests/kube-scheduler.yaml"),
    mode("1.1.7 1.1.8 etcd's", "/etc/kubernetes/manifests/etcd.yaml"),
    mode("1.1.9 1.1.10 the pod network's configuration", "/etc/cni/net.d/10-pods.conflist", "gpu1"),
    mode("1.1.11 etcd's folder", "/var/lib/etcd", allowed="700"),
    mode("1.1.13 1.1.14 the administrators' kubeconfigs", "/etc/kubernetes/*admin.conf"),
    mode("1.1.15 1.1.16 the scheduler's kubeconfig", "/etc/kubernetes/scheduler.conf"),
    mode("1.1.17 1.1.18 the controller manager's kubeconfig", "/etc/kubernetes/controller-manager.conf"),
    nothing("1.1.19 all of the PKI is root's", f"find {PKI} -not '(' -user root -group root ')'"),
    nothing("1.1.20 only root writes certificates", f"find {PKI} -name '*.crt' -perm /022"),
    nothing("1.1.21 only root reads keys", f"find {PKI} -name '*.key' -not -perm 600"),
    Row("1.2.1 nobody without a name", "cp1", f"{STATUS} https://127.0.0.1:6443/api", "401"),
    api("1.2.2 no passwords in a file", "token-auth-file", ""),
    api("1.2.3 nobody claims foreign addresses", "enable-admission-plugins", ".*DenyServiceExternalIPs.*"),
    api("1.2.4 a certificate towards kubelets", "kubelet-client-certificate", f"{PKI}/.*crt"),
    api("1.2.6 1.2.7 1.2.8 who may do what", "authorization-mode", "Node,RBAC"),
    api("1.2.10 nothing is admitted unseen", "enable-admission-plugins", "(?!.*AlwaysAdmit).*"),
    api("1.2.14 a kubelet changes its own only", "enable-admission-plugins", ".*NodeRestriction.*"),
    api("1.2.12 1.2.13 no admission plugin is off", "disable-admission-plugins", ""),
    api("1.2.15 no profiles", "profiling", "false"),
    api("1.2.16 an audit log", "audit-log-path", "/var/log/kubernetes/.*"),
    api("1.2.17 for a month", "audit-log-maxage", "30"),
    api("1.2.18 in ten files", "audit-log-maxbackup", "10"),
    api("1.2.19 of 100 MB", "audit-log-maxsize", "100"),
    api("1.2.20 no endless requests", "request-timeout", "60s"),
    api("1.2.21 tokens of deleted service accounts are void", "service-account-lookup", "(true)?"),
    api("1.2.22 a key of its own for tokens", "service-account-key-file", f"{PKI}/sa.pub"),
    api("1.2.23 a certificate towards etcd", "etcd-certfile", f"{PKI}/.*crt"),
    api("1.2.24 TLS", "tls-cert-file", f"{PKI}/.*crt"),
    api("1.2.25 certificates of clients", "client-ca-file", f"{PKI}/ca.crt"),
    api("1.2.26 etcd's own authority", "etcd-cafile", f"{PKI}/etcd/ca.crt"),
    mode("1.2.27 the key for Secrets", ENCRYPTION),
    Row("1.2.28 how Secrets are encrypted", "cp1", f"grep -oE 'secretbox|aes|identity' {ENCRYPTION}", "secretbox\n.*"),
    api("1.2.29 strong suites", "tls-cipher-suites", f"({SUITE},?)+"),
    api("1.2.30 tokens live as long as they say", "service-account-extend-token-expiration", "false"),
    flag("1.3.1 dead pods go", "kube-controller-manager", "terminated-pod-gc-threshold", "500"),
    flag("1.3.2 no profiles", "kube-controller-manager", "profiling", "false"),
    flag("1.3.3 controllers have accounts", "kube-controller-manager", "use-service-account-credentials", "true"),
    flag("1.3.4 the key of tokens", "kube-controller-manager", "service-account-private-key-file", f"{PKI}/sa.key"),
    flag("1.3.5 the authority for pods", "kube-controller-manager", "root-ca-file", f"{PKI}/ca.crt"),
    flag("1.3.6 no feature is off", "kube-controller-manager", "feature-gates", ""),
    flag("1.3.7 on loopback", "kube-controller-manager", "bind-address", "127.0.0.1"),
    flag("1.4.1 no profiles", "kube-scheduler", "profiling", "false"),
    flag("1.4.2 on loopback", "kube-scheduler", "bind-address", "127.0.0.1"),
    flag("2.1 TLS", "etcd", "cert-file", f"{PKI}/etcd/server.crt"),
    flag("2.2 clients have certificates", "etcd", "client-cert-auth", "true"),
    flag("2.3 no certificates of its own making", "etcd", "auto-tls", ""),
    flag("2.4 TLS between peers", "etcd", "peer-cert-file", f"{PKI}/etcd/peer.crt"),
    flag("2.5 peers have certificates", "etcd", "peer-client-cert-auth", "true"),
    flag("2.6 no certificates of its own making for peers", "etcd", "peer-auto-tls", ""),
    flag("2.7 an authority of its own", "etcd", "trusted-ca-file", f"{PKI}/etcd/ca.crt"),
    api("3.2.1 3.2.2 an audit policy; a test below reads the log", "audit-policy-file", "/etc/kubernetes/apiserver/.*"),
    nothing("4.1.3 4.1.4 kube-proxy has no kubeconfig on disk", "ls /etc/kubernetes | grep proxy || true"),
    mode("4.1.5 4.1.6 a kubelet's kubeconfig", "/etc/kubernetes/kubelet.conf", "gpu1"),
    mode("4.1.7 4.1.8 the authority's certificate", f"{PKI}/ca.crt", "gpu1", "6[04][04]"),
    mode("4.1.9 4.1.10 a kubelet's configuration", "/var/lib/kubelet/config.yaml", "gpu1"),
    kubelet("4.2.1 nobody without a name", "authentication.anonymous.enabled", "False"),
    kubelet("4.2.2 the API server decides", "authorization.mode", "Webhook"),
    kubelet("4.2.3 certificates of clients", "authentication.x509.clientCAFile", f"{PKI}/ca.crt"),
    Row("4.2.4 no port without names", "gpu1", "ss -Hltn sport = :10255", ""),
    kubelet("4.2.5 idle streams end", "streamingConnectionIdleTimeout", "30m0s"),
    kubelet("4.2.6 the kubelet's own chains", "makeIPTablesUtilChains", "True"),
    flag("4.2.7 the host's own name", "kubelet", "hostname-override", "", "gpu1"),
    kubelet("4.2.8 enough events", "eventRecordQPS", "50"),
    kubelet("4.2.10 certificates are renewed", "rotateCertificates", "True"),
    kubelet("4.2.12 strong suites", "tlsCipherSuites", rf"\[('{SUITE}'(, )?)+\]"),
    kubelet("4.2.13 no fork without end", "podPidsLimit", "16384"),
    kubelet("4.2.14 a filter of system calls", "seccompDefault", "True"),
    kubelet("a kernel that is set up otherwise is refused", "protectKernelDefaults", "True"),
    Row("4.3.1 kube-proxy's numbers on loopback", "gpu1", "ss -Hltn sport = :10249", r".* 127\.0\.0\.1:10249 .*"),
]  # fmt: skip


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    if RUNNING:
        yield CLUSTER
        return
    try:
        CLUSTER.script("cluster-setup/local/up")
        yield CLUSTER
    finally:
        CLUSTER.script("cluster-setup/local/down", "--images")


def inside(cluster: Cluster, machine: str, command: str) -> str:
    return cluster.script("cluster-setup/local/in", machine, "bash", "-c", f"set -o pipefail; {command}").strip()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
def test_benchmark(cluster: Cluster, row: Row) -> None:
    printed = inside(cluster, row.machine, row.command)
    assert re.fullmatch(row.prints, printed), f"'{row.command}' in {row.machine} prints '{printed}'"


def test_every_number_of_the_benchmark_has_a_row_or_a_reason() -> None:
    counts = {"1.1": 21, "1.2": 30, "1.3": 7, "1.4": 2, "2": 7, "3.1": 3, "3.2": 2, "4.1": 10, "4.2": 14, "4.3": 1}
    numbers = {f"{section}.{number}" for section, count in counts.items() for number in range(1, count + 1)}
    shown = {number for row in ROWS for number in re.findall(r"\d+(?:\.\d+)+", row.title)}
    assert shown | set(WAIVED) == numbers
    assert not shown & set(WAIVED)


def test_a_secret_is_not_to_be_read_on_etcds_disk(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "hidden", "--from-literal=word=cockatoo")
    cluster.kubectl("create", "configmap", "open", "--from-literal=word=cockatoo")
    hidden, seen = raw(cluster, "secrets/default/hidden"), raw(cluster, "configmaps/default/open")
    assert hidden.startswith(b"k8s:enc:secretbox:v1:key1:")
    assert b"cockatoo" not in hidden
    assert b"cockatoo" in seen, "this test would not see a secret that lies open"


def raw(cluster: Cluster, key: str) -> bytes:
    """A key of etcd's, asked of etcd itself."""
    question = json.dumps({"key": base64.b64encode(f"/registry/{key}".encode()).decode()})
    identity = f"--cacert {PKI}/etcd/ca.crt --cert {PKI}/etcd/server.crt --key {PKI}/etcd/server.key"
    answer = inside(cluster, "cp1", f"curl -sf {identity} https://127.0.0.1:2379/v3/kv/range -d '{question}'")
    return base64.b64decode(json.loads(answer)["kvs"][0]["value"])


def test_the_audit_log_says_who_read_a_secret_and_not_what_it_says(cluster: Cluster) -> None:
    cluster.kubectl("create", "secret", "generic", "watched", "--from-literal=word=kookaburra")
    cluster.kubectl("get", "secret", "watched", "-o", "yaml")
    log = inside(cluster, "cp1", "grep -h '\"watched\"' /var/log/kubernetes/audit/*.log")
    events = [json.loads(line) for line in log.splitlines()]
    assert ("get", "kubernetes-admin") in {(event["verb"], event["user"]["username"]) for event in events}
    assert "kookaburra" not in log
    assert base64.b64encode(b"kookaburra").decode() not in log


def test_a_kubelet_serves_nobody_without_a_name(cluster: Cluster) -> None:
    assert inside(cluster, "gpu1", f"{STATUS} https://127.0.0.1:10250/pods") == "401"


def test_verify_finds_everything_as_it_should_be(cluster: Cluster) -> None:
    said = inside(cluster, "cp1", str(cluster.root / "cluster-setup/steps/verify"))
    lines = said.splitlines()
    assert {line.split()[0] for line in lines} == {"ok", "skipped"}, said
    for what in ("Secrets are encrypted", "reaches a Service by its name", "a pod that asks for a GPU gets one"):
        assert any(what in line for line in lines if line.startswith("ok")), said


def test_verify_says_what_is_wrong_and_what_to_do(cluster: Cluster) -> None:
    setting = "net.ipv4.ip_forward"  # the machine's own, not the host's
    inside(cluster, "cp1", f"sysctl -q -w {setting}=0")
    try:
        with pytest.raises(Failed, match="1 of these questions have a wrong answer") as failed:
            inside(cluster, "cp1", f"{cluster.root}/cluster-setup/steps/verify --no-pods")
    finally:
        inside(cluster, "cp1", f"sysctl -q -w {setting}=1")
    line = "FAILED cp1: the kernel's settings are those of /etc/sysctl.d/90-kubernetes.conf: run install-k8s again"
    assert line in str(failed.value)
