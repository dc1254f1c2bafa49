"""The command lines, and the files they name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def etcd(folder: Path, port: int, peer: int) -> list[str]:
    """One member that never waits for the disk: its data dies with the test."""
    client, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder}",
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--log-level=warn",
    ]


@dataclass(frozen=True)
class ApiServer:
    """kube-apiserver's files below `folder` and its flags."""

    folder: Path
    port: int
    etcd_port: int
    audit: bool
    accounts: bool
    """Whether pods need a service account that exists: only where a controller makes the default ones."""

    @property
    def authority(self) -> Path:
        """The certificate it makes for itself at the first start."""
        return self.folder / "certs/apiserver.crt"

    @property
    def audit_log(self) -> Path:
        return self.folder / "audit.log"

    def write_files(self, admin: str) -> None:
        """The administrator's token and the audit policy."""
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{admin},admin,admin,"system:masters"\n')
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(_AUDIT))

    def command(self) -> list[str]:
        folder = self.folder
        flags = [
            f"--etcd-servers=http://127.0.0.1:{self.etcd_port}",
            f"--cert-dir={folder / 'certs'}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.port}",
            "--endpoint-reconciler-type=none",  # loopback is no valid endpoint
            "--service-cluster-ip-range=10.0.0.0/24",
            "--authorization-mode=RBAC",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'sa.pub'}",
            f"--service-account-signing-key-file={folder / 'sa.key'}",
        ]
        if not self.accounts:
            flags.append("--disable-admission-plugins=ServiceAccount")
        if self.audit:
            flags += [f"--audit-policy-file={folder / 'audit.yaml'}", f"--audit-log-path={self.audit_log}"]
        return flags


def controller(name: str, kubeconfig: Path, folder: Path) -> list[str]:
    """kube-controller-manager or kube-scheduler: alone, so without an election, and with no port of its own."""
    flags = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]
    if name == "kube-controller-manager":
        flags += [f"--service-account-private-key-file={folder / 'sa.key'}", "--use-service-account-credentials"]
    return flags
