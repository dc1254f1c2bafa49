"""A real etcd and kube-apiserver for the whole run, with our CRDs, and a namespace for each test."""

from __future__ import annotations

import gc
import itertools
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from lorikeet.controller.world import World
from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.apiserver.process import Process
from lorikeet.testing.gateways.process import PATIENCE, call, lasting_ports
from lorikeet.testing.operator import operator
from lorikeet.testing.place import Place
from lorikeet.testing.place import place as a_place


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in this folder needs the binaries of `make toolchain`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)
            # kopf ends its event loop before its TLS connections have said goodbye: their sockets are collected later,
            # in whatever test runs then.
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """The API server, with our CRDs served."""
    with api_server() as server:
        server.install_crds()
        yield server
    # kopf's sockets again (see above): those of the last tests would be found after the run, where no mark reaches.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def namespace_names() -> Iterator[str]:
    return (f"test-{number}" for number in itertools.count(1))


@pytest.fixture
def namespace(api: ApiServer, namespace_names: Iterator[str]) -> str:
    """A namespace of the test's own; nobody removes it, the API server ends with the run."""
    name = next(namespace_names)
    api.kubectl("create", "namespace", name)
    return name


@pytest.fixture
async def place(api: ApiServer, namespace: str) -> AsyncIterator[Place]:
    """The namespace, with what a test puts into it."""
    async with a_place(api.kubeconfig, namespace) as found:
        yield found


@pytest.fixture
async def world(api: ApiServer, namespace: str) -> AsyncIterator[World]:
    """An operator in the namespace."""
    async with operator(api.kubeconfig, namespace) as found:
        yield found


@pytest.fixture
def cheap_engine(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Makes an engine that costs nearly nothing, in a process of its own; its address."""
    started: list[Process] = []

    def make(chunks: int = 200, tick: float = 0.01, delay: float = 0.0, port: int = 0) -> str:
        port = port or lasting_ports(1)[0]
        words = [str(word) for word in (port, chunks, tick, delay)]
        command = [sys.executable, "-m", "lorikeet.testing.bench_gateway.engine", *words]
        process = Process("engine", command, tmp_path / "engine.log")
        started.append(process)
        process.wait_until(lambda: call(f"http://127.0.0.1:{port}/")[0] == 200, PATIENCE)
        return f"127.0.0.1:{port}"

    yield make
    for process in started:
        process.kill()
