"""An account that is moto's server, and copies of the configurations to run in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lorikeet.testing.terraform import Account, account, copied

ROOT = Path(__file__).parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever lies in this folder needs the tools of `make terraform-tools`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.terraform)
            item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with account(tmp_path_factory.mktemp("moto") / "log") as server:
        yield server


@pytest.fixture
def empty_account(moto: Account) -> Account:
    moto.reset()
    return moto


@pytest.fixture
def configurations(tmp_path: Path) -> Path:
    """A copy of terraform/, beside one of cluster-setup/."""
    return copied(ROOT, tmp_path)
