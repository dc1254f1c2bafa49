"""Each sample is taken as it stands, the broken adapters too: what is wrong with those, no schema sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.testing.apiserver import ApiServer

SAMPLES = Path(__file__).parents[2] / "manifests/samples"
FILES = sorted(SAMPLES.rglob("*.yaml"))


def test_there_are_samples() -> None:
    assert {"tiny-cpu.yaml", "pirate.yaml", "poet.yaml", "qwen-t4.yaml"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_sample_is_taken(api: ApiServer, namespace: str, file: Path) -> None:
    said = api.kubectl("create", "--validate=strict", "-n", namespace, "-f", str(file)).stdout
    assert said.splitlines()
    assert all(line.endswith(" created") for line in said.splitlines())
