"""One demo for all tests of it, in the order of their files: the last one takes everything away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorikeet.testing.demo import Demo

DEMO = Demo(Path(__file__).parents[2])


@pytest.fixture(scope="session")
def demo() -> Iterator[str]:
    """What the first `demo/up` said."""
    try:
        yield DEMO.up()
    finally:
        DEMO.down()


@pytest.fixture
def answers(demo: str) -> dict[str, str]:
    """Two replicas and both adapters, Ready; what each answers to the demo's question."""
    return DEMO.answers()
