"""The API server alone: etcd and kube-apiserver, with RBAC and real service account tokens."""

from __future__ import annotations

import json
import secrets
import signal
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from lorikeet.api.crd import manifest
from lorikeet.api.kinds import definitions
from lorikeet.testing.apiserver import flags
from lorikeet.testing.apiserver.binaries import find
from lorikeet.testing.apiserver.kubeconfig import write_kubeconfig
from lorikeet.testing.apiserver.process import Failed, Process, free_ports

START_TIMEOUT = 60.0
"""Seconds: it takes 3, but tests share their machine with builds."""
CALL_TIMEOUT = 10.0
KUBECTL_TIMEOUT = 60.0


@contextmanager
def api_server(*, controllers: bool = False, scheduler: bool = False, audit: bool = False) -> Iterator[ApiServer]:
    """A fresh, empty API server; all of it is gone afterwards, also when the process is killed (its folder excepted).

    `controllers` adds kube-controller-manager (Deployments get ReplicaSets and Pods, owners collect), `scheduler`
    kube-scheduler, `audit` a log of every request, which `ApiServer.audited` reads.
    Raises MissingBinaries, or Failed with the last lines of the process that did not start.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lorikeet-api-")))
        server = ApiServer(folder, audit=audit, accounts=controllers)
        stack.callback(server.close)
        server.start()
        for name in ("kube-controller-manager",) * controllers + ("kube-scheduler",) * scheduler:
            server.add(name)
        yield server


class ApiServer:
    """A running API server. `kubeconfig` is the administrator's."""

    def __init__(self, folder: Path, *, audit: bool = False, accounts: bool = False) -> None:
        self._bins = find("etcd", "kube-apiserver", "kubeadm", "kubectl")
        self._etcd_port, self._peer_port, port = free_ports(3)
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"
        self.kubeconfig = folder / "admin.kubeconfig"
        self._flags = flags.ApiServer(folder, port, self._etcd_port, audit=audit, accounts=accounts)
        self._admin = secrets.token_hex(16)
        self._processes: dict[str, Process] = {}

    def start(self) -> None:
        """Bring up etcd and the API server; returns when /readyz is ok."""
        self._flags.write_files(self._admin)
        self._run(str(self._bins["kubeadm"]), "init", "phase", "certs", "sa", "--cert-dir", str(self.folder))
        self._launch("etcd", flags.etcd(self.folder / "etcd", self._etcd_port, self._peer_port))
        self.start_api()

    def start_api(self) -> None:
        """Bring up kube-apiserver alone, after `stop_api`."""
        process = self._launch("kube-apiserver", self._flags.command())
        process.wait_until(self._ready, START_TIMEOUT)
        write_kubeconfig(self.kubeconfig, self.url, self._flags.authority, self._admin)

    def stop_api(self) -> None:
        """An outage: connections are refused until `start_api`; what was stored stays."""
        self._processes["kube-apiserver"].kill()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """A worse outage: connections are accepted and nothing answers."""
        process = self._processes["kube-apiserver"]
        process.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.signal(signal.SIGCONT)

    def add(self, name: str) -> None:
        """Start kube-controller-manager or kube-scheduler."""
        self._bins |= find(name)
        self._launch(name, flags.controller(name, self.kubeconfig, self.folder))

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator; with `check`, raises Failed with its stderr."""
        command = [str(self._bins["kubectl"]), "--kubeconfig", str(self.kubeconfig), *arguments]
        return self._run(*command, stdin=stdin, check=check)

    def apply(self, *bodies: Mapping[str, Any]) -> None:
        """Server-side apply, as a user called kubectl."""
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(bodies))

    def install_crds(self) -> None:
        """Our CRDs, as the models say now; returns when they are served."""
        self.apply(*(manifest(definition) for definition in definitions()))
        # `kubectl wait` takes a CRD that has no conditions yet for an error.
        self._processes["kube-apiserver"].wait_until(self._serves_crds, START_TIMEOUT)

    def account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig of a service account that exists, with a token of the API server's own."""
        token = self.kubectl("create", "token", name, "--namespace", namespace).stdout.strip()
        path = self.folder / f"{namespace}-{name}.kubeconfig"
        return write_kubeconfig(path, self.url, self._flags.authority, token)

    def audited(self) -> list[dict[str, Any]]:
        """Every request so far, as audit events; needs `audit=True`."""
        return [json.loads(line) for line in self._flags.audit_log.read_text().splitlines()]

    def close(self) -> None:
        """End every process, the last started first."""
        for process in reversed(self._processes.values()):
            process.stop()

    def _launch(self, name: str, arguments: list[str]) -> Process:
        process = Process(name, [str(self._bins[name]), *arguments], self.folder / f"{name}.log")
        self._processes[name] = process
        return process

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content_type: str = "application/json"
    ) -> tuple[int, dict[str, Any]]:
        """One raw request as the administrator: the status and the JSON reply, refusals included."""
        headers = {"Authorization": f"Bearer {self._admin}", "Content-Type": content_type}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - https, by us
        trust = ssl.create_default_context(cafile=str(self._flags.authority))
        try:
            with urllib.request.urlopen(request, timeout=CALL_TIMEOUT, context=trust) as reply:  # noqa: S310
                return reply.status, _json(reply.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, _json(refusal.read())

    def _ready(self) -> bool:
        try:
            return self._flags.authority.is_file() and self.call("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _serves_crds(self) -> bool:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        states = [self.call("GET", f"{path}/{each.name}")[1].get("status", {}) for each in definitions()]
        found = [state.get("conditions") or [] for state in states]
        return all(any(one["type"] == "Established" and one["status"] == "True" for one in each) for each in found)

    def _run(self, *command: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(  # noqa: S603 - our own binaries
            command, input=stdin, check=False, capture_output=True, text=True, timeout=KUBECTL_TIMEOUT
        )
        if check and done.returncode:
            raise Failed(f"{Path(command[0]).name} {' '.join(command[1:])}: {done.stderr.strip()}")
        return done


def _json(reply: bytes) -> dict[str, Any]:
    """An object; health endpoints answer with plain words, which say no more than their status."""
    return dict(json.loads(reply)) if reply.startswith(b"{") else {}
