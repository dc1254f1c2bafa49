"""An API server of the campaign's own, and addresses for its pods."""

from __future__ import annotations

import gc
import itertools
import os
import warnings
from collections.abc import Iterator

import pytest

from lorikeet.testing.apiserver import ApiServer, api_server


@pytest.fixture(scope="session")
def api() -> Iterator[ApiServer]:
    """The API server, with our CRDs served."""
    with api_server() as server:
        server.install_crds()
        yield server
    with warnings.catch_warnings():  # kopf ends before its TLS connections have said goodbye
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def addresses() -> Iterator[str]:
    """Agents listen on a fixed port, each on an address of its own; runs beside each other use different ones."""
    block = os.getpid() % 250
    return (f"127.{7 + high}.{block}.{low}" for high, low in itertools.product(range(200), range(1, 250)))
