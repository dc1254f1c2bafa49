"""docs/aws.md, followed from top to bottom: Terraform with the real provider against moto's server, and the instances'
user data executed in machines made of namespaces, until an adapter answers, a worker was renewed, and all is gone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lorikeet.testing.handbook import script
from lorikeet.testing.terraform import Account, account, copied

pytestmark = [pytest.mark.aws, pytest.mark.timeout(2400)]

ROOT = Path(__file__).parents[2]
REHEARSAL = ROOT / "tests/e2e/rehearsal"
NETWORK = "10.208.0"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    """A host called `aws0` for machines, and the stand-in for AWS on it."""
    cluster = {**os.environ, "LORIKEET_CLUSTER": "aws", "LORIKEET_NETWORK": NETWORK, "HOME": str(tmp_path)}
    cluster["LORIKEET_CACHE"] = os.environ.get("LORIKEET_CACHE") or f"{Path.home()}/.cache/lorikeet"
    try:
        subprocess.run([REHEARSAL / "cloud", "open"], env=cluster, check=True)
        with account(tmp_path / "moto.log") as moto:
            yield cluster | settings(moto, cluster["LORIKEET_CACHE"])
    finally:
        subprocess.run([REHEARSAL / "cloud", "close"], env=cluster, check=True)


def settings(moto: Account, cache: str) -> dict[str, str]:
    """What commands find; only Terraform needs the stand-in as its proxy as well, and the shim around it says so."""
    return {
        **{name: value for name, value in moto.environment.items() if name != "HTTP_PROXY"},
        "PATH": f"{REHEARSAL}/bin:{cache}/bin:{cache}/terraform-tools/bin:{os.environ['PATH']}",
        "REHEARSAL_REGISTRY": f"{NETWORK}.1:5000",
    }


@pytest.fixture
def work_tree(tmp_path: Path) -> Path:
    """A copy, because Terraform leaves its state in it."""
    tree = tmp_path / "lorikeet"
    tree.mkdir()
    copied(ROOT, tree)
    for part in ("charts", "manifests", "demo"):
        shutil.copytree(ROOT / part, tree / part)
    return tree


def test_the_page_works_as_it_is_written(work_tree: Path, environment: dict[str, str]) -> None:
    page = (ROOT / "docs/aws.md").read_text()
    prelude = (
        f"set -euo pipefail; root={ROOT} rehearsal={REHEARSAL}; trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
        f"source {ROOT}/cluster-setup/say.sh; source {REHEARSAL}/prelude.sh\n"
    )
    done = subprocess.run(
        ["bash", "-c", prelude + script(page, "docs/aws.md")], cwd=work_tree, env=environment, check=False
    )
    assert done.returncode == 0, "a command of docs/aws.md failed: see above"
