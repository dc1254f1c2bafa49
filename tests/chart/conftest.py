"""The chart, rendered by the real Helm."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorikeet.testing.apiserver.binaries import find

CHART = Path(__file__).parents[2] / "charts/lorikeet"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Helm comes with `make toolchain`."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.integration)


@dataclass(frozen=True)
class Rendered:
    """What `helm template` gave: objects, or why not."""

    objects: list[dict[str, Any]]
    refusal: str

    def of(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        return [body for body in self.objects if body["kind"] == kind and name in ("", body["metadata"]["name"])]

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = self.of(kind, name)
        return found


Render = Callable[..., Rendered]


@pytest.fixture(scope="session")
def render() -> Render:
    helm = str(find("helm")["helm"])

    def run(
        values: dict[str, Any] | None = None, release: str = "lorikeet", namespace: str = "lorikeet-system"
    ) -> Rendered:
        command = [helm, "template", release, str(CHART), "--namespace", namespace, "--values", "-"]
        done = subprocess.run(
            command, input=json.dumps(values or {}), capture_output=True, text=True, timeout=60, check=False
        )
        objects = [body for body in yaml.safe_load_all(done.stdout) if body] if not done.returncode else []
        return Rendered(objects, done.stderr if done.returncode else "")

    return run
