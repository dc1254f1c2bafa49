"""What the chart can do beside the demo's values: a certificate of the gateway's own, which changes while it runs, and
traces."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lorikeet.testing.certificate import make_pair
from lorikeet.testing.cluster import until
from lorikeet.testing.demo import PORT, QUESTION, SYSTEM, Demo
from lorikeet.testing.prober import ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
DEMO = Demo(ROOT)
kubectl = DEMO.cluster.kubectl
HTTPS = f"https://127.0.0.1:{PORT}"
SECRET = "gateway-cert"
CONNECTIONS = 30
"""Each goes to one of two gateways by chance."""
COLLECT = """
import http.server
class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("took", self.path, flush=True)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
http.server.HTTPServer(("", 4318), Collector).serve_forever()
"""


class Pair:
    """A certificate for 127.0.0.1 and its key, as files and as the Secret."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        make_pair(folder, "gateway")
        self.certificate, self._key = folder / "tls.crt", folder / "tls.key"

    def apply(self) -> None:
        files = (f"--cert={self.certificate}", f"--key={self._key}")
        made = kubectl("create", "secret", "tls", SECRET, *SYSTEM, *files, "--dry-run=client", "-o", "yaml")
        kubectl("apply", *SYSTEM, "-f", "-", text=made)

    def is_shown(self) -> bool:
        """By each gateway, as far as so many connections tell."""
        return shown() == {self.certificate.read_text().strip()}


@pytest.fixture
def collector(demo: str) -> Iterator[str]:
    """Where traces may be sent, and a pod of that name that says what it took."""
    image = DEMO.cluster.items("deployment", "-n", "lorikeet-demo")[0]["spec"]["template"]["spec"]["containers"][0]
    words = ("--image", image["image"], "--image-pull-policy=IfNotPresent", "--port=4318", "--expose")
    kubectl("run", "collector", *words, "--command", "--", "python3", "-c", COLLECT)
    kubectl("wait", "--for=condition=Ready", "pod/collector", "--timeout=100s")
    yield "http://collector.default:4318"
    kubectl("delete", "pod/collector", "service/collector", "--grace-period=1")


@pytest.fixture
def upgraded(collector: str, tmp_path: Path) -> Iterator[Pair]:
    """The release with a certificate and traces, and afterwards as it was."""
    pair = Pair(tmp_path / "first")
    pair.apply()
    traces = {"endpoint": collector, "sample": 1}
    upgrade("--set", f"gateway.tls.secretName={SECRET}", "--set-json", f"gateway.traces={json.dumps(traces)}")
    rolled_out("each gateway shows the certificate", pair.is_shown)
    yield pair
    DEMO.cluster.helm("rollback", "lorikeet", *SYSTEM, "--wait")
    rolled_out("no gateway speaks TLS", lambda: shown() == {""})
    kubectl("delete", "secret", SECRET, *SYSTEM)


def upgrade(*values: str) -> None:
    DEMO.cluster.helm(
        "upgrade", "lorikeet", str(ROOT / "charts/lorikeet"), *SYSTEM, "--reuse-values", *values, "--wait"
    )


def rolled_out(what: str, is_so: Callable[[], bool]) -> None:
    """Helm is content once the new pods are ready: for a moment more an old one answers beside them."""
    kubectl("rollout", "status", "deployment/lorikeet-gateway", *SYSTEM, "--timeout=300s")
    until(what, is_so, seconds=60)


def shown() -> set[str]:
    """The certificates that the gateway's port shows; "" where it speaks no TLS."""
    return {certificate() for _ in range(CONNECTIONS)}


def certificate() -> str:
    try:
        return ssl.get_server_certificate(("127.0.0.1", int(PORT))).strip()
    except ssl.SSLError:
        return ""


def gateways() -> dict[str, int]:
    """uid → restarts."""
    listed = DEMO.cluster.items("pod", *SYSTEM, "-l", "app.kubernetes.io/component=gateway")
    return {
        pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def test_clients_speak_https_a_new_certificate_needs_no_restart_and_requests_are_traced(
    answers: dict[str, str], upgraded: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = gateways()
    monkeypatch.setenv("SSL_CERT_FILE", str(upgraded.certificate))
    assert {name: ask(HTTPS, name, QUESTION) for name in answers} == {n: (200, said) for n, said in answers.items()}
    second = Pair(tmp_path / "second")
    second.apply()
    until("the new certificate is shown", second.is_shown, seconds=240)
    monkeypatch.setenv("SSL_CERT_FILE", str(second.certificate))
    assert {name: ask(HTTPS, name, QUESTION)[0] for name in answers} == dict.fromkeys(answers, 200)
    assert gateways() == before
    until("the collector has heard", lambda: "took /v1/traces" in kubectl("logs", "collector"))
