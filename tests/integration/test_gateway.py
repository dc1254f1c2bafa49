"""The gateway's process against a real API server: it follows status, outlives an outage, and ends politely."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.apiserver.process import free_ports

SECONDS = 20.0
DIGEST = "3f9c1a7d20b4" + "0" * 52


class Engine(http.server.BaseHTTPRequestHandler):
    """Says which model it was asked for."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = json.dumps({"asked": asked["model"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def engine() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


class Gateway:
    """The process, its two ports, and plain questions."""

    def __init__(self, kubeconfig: Path, key: Path, **settings: str) -> None:
        self._port, self._admin = free_ports(2)
        environment = {
            **os.environ,
            "KUBECONFIG": str(kubeconfig),
            "LORIKEET_ROOT_KEY_FILE": str(key),
            "LORIKEET_HOST": "127.0.0.1",
            "LORIKEET_PORT": str(self._port),
            "LORIKEET_ADMIN_PORT": str(self._admin),
            "LORIKEET_LINGER_SECONDS": "0.2",
            "LORIKEET_STATE_DIR": str(key.parent),
            **settings,
        }
        self.process = subprocess.Popen([sys.executable, "-m", "lorikeet.gateway.main"], env=environment)

    def ready(self) -> bool:
        return call(f"http://127.0.0.1:{self._admin}/readyz")[0] == 200

    def ask(self, model: str, key: str = "") -> tuple[int, str]:
        return call(f"http://127.0.0.1:{self._port}/v1/completions", {"model": model, "prompt": ""}, key)

    def reload_keys(self, key: str) -> tuple[int, str]:
        return call(f"http://127.0.0.1:{self._admin}/admin/reload-keys", {}, key)

    def answers(self, model: str, engine_name: str) -> bool:
        return self.ask(model) == (200, json.dumps({"asked": engine_name}))


def read(path: Path) -> bytes:
    """Nothing where there is no file."""
    return path.read_bytes() if path.exists() else b""


def call(url: str, body: dict[str, Any] | None = None, key: str = "") -> tuple[int, str]:
    """(0, "") where nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def wait_for(happens: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not happens():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def own_api() -> Iterator[ApiServer]:
    """One that may be stopped."""
    with api_server() as server:
        server.install_crds()
        yield server


def test_the_process_follows_status_outlives_an_outage_and_ends_politely(
    own_api: ApiServer, engine: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_text("k" * 64)
    own_api.apply(
        thing("ModelServer", "qwen", {"model": {"uri": "image:///models/tiny"}}),
        thing(
            "LoRAAdapter", "sql", {"modelServerRef": {"name": "qwen"}, "source": {"uri": f"hf://acme/sql@{'a' * 40}"}}
        ),
    )
    set_status(own_api, "modelserver", "qwen", {"modelName": "base", "endpoints": [endpoint(engine)]})
    gateway = Gateway(own_api.kubeconfig, tmp_path / "key")
    try:
        wait_for(gateway.ready)
        assert gateway.answers("base", "base")
        assert gateway.ask("sql")[0] == 404
        replica = {"pod": "pod-0", "digest": DIGEST, "state": "Loaded"}
        served = {"engineName": "sql@3f9c1a7d20b4", "names": ["sql"], "replicas": [replica]}
        set_status(own_api, "loraadapter.lorikeet.dev", "sql", served)
        wait_for(lambda: gateway.answers("sql", "sql@3f9c1a7d20b4"))
        wait_for(lambda: b"sql@3f9c1a7d20b4" in read(tmp_path / "table.json"))
        own_api.stop_api()
        assert gateway.answers("sql", "sql@3f9c1a7d20b4")
        assert gateway.ready()
        gateway.process.kill()
        gateway.process.wait()
        gateway = Gateway(own_api.kubeconfig, tmp_path / "key")
        wait_for(gateway.ready)
        assert gateway.answers("sql", "sql@3f9c1a7d20b4"), "P12: killed and started again during the outage"
        own_api.start_api()
        own_api.kubectl("delete", "loraadapter.lorikeet.dev", "sql")
        wait_for(lambda: gateway.ask("sql")[0] == 404)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(SECONDS) == 0
    finally:
        gateway.process.kill()
        gateway.process.wait()


def test_keys_are_live_by_watch_through_creation_rotation_revocation_and_an_outage(
    own_api: ApiServer, engine: str, tmp_path: Path
) -> None:
    """P27, and P12 for keys."""
    (tmp_path / "key").write_text("k" * 64)
    own_api.apply(thing("ModelServer", "qwen", {"model": {"uri": "image:///models/tiny"}}))
    set_status(own_api, "modelserver", "qwen", {"modelName": "base", "endpoints": [endpoint(engine)]})
    keyed = {"LORIKEET_NAMESPACE": "default", "LORIKEET_KEY_SECRETS": "lorikeet-api-keys", "LORIKEET_WORKERS": "2"}
    gateway = Gateway(own_api.kubeconfig, tmp_path / "key", **keyed)
    try:
        wait_for(gateway.ready)
        assert gateway.ask("base")[0] == 401
        old = keys(own_api, "create", "--tenant", "team", "--admin")
        wait_for(lambda: gateway.ask("base", old)[0] == 200)
        new = keys(own_api, "rotate", old.split("-")[1], "--overlap", "1h")
        wait_for(lambda: gateway.ask("base", new)[0] == 200)
        assert gateway.ask("base", old)[0] == 200, "both live through the overlap"
        keys(own_api, "revoke", old.split("-")[1])
        wait_for(lambda: gateway.ask("base", old)[0] == 401)
        assert gateway.ask("base", new)[0] == 200
        assert gateway.reload_keys(new) == (200, '{"keys": 1}')
        assert gateway.reload_keys(old)[0] == 401
        wait_for(lambda: old.split("-")[1] not in read(tmp_path / "table.json").decode())
        own_api.stop_api()
        gateway.process.kill()
        gateway.process.wait()
        gateway = Gateway(own_api.kubeconfig, tmp_path / "key", **keyed)
        wait_for(gateway.ready)
        assert [gateway.ask("base", key)[0] for key in (new, old)] == [200, 401]
        assert new not in (tmp_path / "table.json").read_text()
    finally:
        gateway.process.kill()
        gateway.process.wait()


def keys(api: ApiServer, *words: str) -> str:
    """`kubectl lorikeet keys …`; the last line it says."""
    command = [sys.executable, "-m", "lorikeet.cli.main", "--kubeconfig", str(api.kubeconfig), "-n", "default", "keys"]
    said = subprocess.run([*command, *words], capture_output=True, text=True, timeout=60, check=True).stdout
    return said.splitlines()[-1]


def thing(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "lorikeet.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def endpoint(address: str) -> dict[str, Any]:
    return {"pod": "pod-0", "address": address, "boot": "1", "ready": True}


def set_status(api: ApiServer, kind: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    api.kubectl("patch", kind, name, "--namespace=default", "--subresource=status", "--type=merge", f"--patch={patch}")
