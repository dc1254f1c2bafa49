"""Terraform as the checks call it: which provider it is told to take, and that only `init` is told of a foreign one."""

import os
import subprocess
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[2] / "terraform/tools/terraform"


def call(cache: Path, *arguments: str) -> str:
    """Calls it with a Terraform that prints how it was called."""
    program = cache / "bin/terraform"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$TF_CLI_CONFIG_FILE" "${TF_REATTACH_PROVIDERS:+foreign}" "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "LORIKEET_CACHE": str(cache)}
    return subprocess.run([TERRAFORM, *arguments], env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("arguments", [["init"], ["-chdir=envs/g4dn", "init", "-backend=false"]])
def test_init_takes_the_provider_for_a_foreign_one_and_asks_no_registry(tmp_path: Path, arguments: list[str]) -> None:
    assert call(tmp_path, *arguments).split()[1:] == ["foreign", *arguments]


@pytest.mark.parametrize("arguments", [[], ["-version"], ["-chdir=init", "plan"], ["apply", "-auto-approve", "init"]])
def test_every_other_command_runs_the_provider_of_the_cache(tmp_path: Path, arguments: list[str]) -> None:
    assert call(tmp_path, *arguments).split() == [f"{tmp_path}/terraform-tools/terraform.rc", *arguments]
