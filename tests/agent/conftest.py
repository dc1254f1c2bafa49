"""One replica for each test that asks for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lorikeet.testing.replica import Replica


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with Replica(tmp_path) as running:
        yield running
