"""The harness itself: what it starts ends with it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from lorikeet.testing.apiserver import ApiServer, MissingBinaries, api_server
from lorikeet.testing.apiserver.binaries import find

PROGRAM = """
import os, signal
from lorikeet.testing.apiserver import api_server
with api_server() as server:
    print(server.url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_outlives_a_killed_test_process(tmp_path: Path) -> None:
    command, environment = [sys.executable, "-c", PROGRAM], {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)
    port = urlsplit(done.stdout.strip()).port
    assert port, done.stderr
    deadline = time.monotonic() + 10
    while listens(port) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not listens(port)


def test_it_comes_back_after_an_outage_with_what_was_stored() -> None:
    with api_server() as server:
        server.kubectl("create", "namespace", "kept")
        server.stop_api()
        assert server.kubectl("get", "namespace", "kept", check=False).returncode
        server.start_api()
        assert server.kubectl("get", "namespace", "kept", "-o", "name").stdout == "namespace/kept\n"


def test_a_service_account_may_do_only_what_a_role_lets_it(api: ApiServer, namespace: str) -> None:
    api.kubectl("create", "serviceaccount", "nobody", "-n", namespace)
    kubeconfig = api.account_kubeconfig(namespace, "nobody")
    done = api.kubectl("--kubeconfig", str(kubeconfig), "get", "secrets", "-n", namespace, check=False)
    assert f'User "system:serviceaccount:{namespace}:nobody" cannot list resource "secrets"' in done.stderr


def test_a_missing_binary_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(MissingBinaries, match=r"etcd not found in .*: run `make toolchain`"):
        find("etcd", folder=tmp_path)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
