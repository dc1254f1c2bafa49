"""Every configuration: its form, its lock, its own tests against a mocked AWS, and what checkov says."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from lorikeet.testing.terraform import Terraform, tool

TERRAFORM = Path(__file__).parents[2] / "terraform"
CONFIGURATIONS = sorted(str(path.parent.relative_to(TERRAFORM)) for path in TERRAFORM.glob("**/versions.tf"))
PARTS = ["adapter-store", "control-plane", "gpu-workers", "iam", "network", "node", "workers"]


def test_every_module_and_environment_is_looked_at() -> None:
    assert ["bootstrap", "envs/g4dn", *(f"modules/{part}" for part in PARTS)] == CONFIGURATIONS


def test_the_form_is_terraforms_own() -> None:
    Terraform(TERRAFORM)("fmt", "-check", "-diff", "-recursive")


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_a_configuration_is_valid_and_passes_its_own_tests(configuration: str, configurations: Path) -> None:
    terraform = Terraform(configurations / configuration)
    terraform("init", "-backend=false", "-no-color")
    terraform("validate", "-no-color")
    said = terraform("test", "-no-color")
    passed = re.search(r"Success! (\d+) passed, 0 failed\.", said)
    written = sum(path.read_text().count('\nrun "') for path in terraform.folder.glob("tests/*.tftest.hcl"))
    assert passed, said
    assert int(passed[1]) == written > 0, said


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_every_variable_and_output_has_a_type_and_a_description(configuration: str) -> None:
    text = "\n".join(path.read_text() for path in sorted((TERRAFORM / configuration).glob("*.tf")))
    blocks = re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', text, re.MULTILINE | re.DOTALL)
    bare = [f"{kind} {name}" for kind, name, body in blocks if "  description = " not in re.sub(" +=", " =", body)]
    loose = [
        name for kind, name, body in blocks if kind == "variable" and not re.search(r"^  type +=", body, re.MULTILINE)
    ]
    assert blocks
    assert not bare
    assert not loose


@pytest.mark.parametrize("root", ["bootstrap", "envs/g4dn"])
def test_the_lock_file_pins_a_provider_that_the_constraint_allows(root: str) -> None:
    lock = (TERRAFORM / root / ".terraform.lock.hcl").read_text()
    assert re.findall(r'^provider "(.+)" \{', lock, re.MULTILINE) == ["registry.terraform.io/hashicorp/aws"]
    assert re.search(r'^  version     = "6\.\d+\.\d+"$', lock, re.MULTILINE)
    assert 'constraints = ">= 5.100.0, < 7.0.0"' in lock
    # One archive for each platform that Terraform itself is published for.
    assert len(re.findall(r'^    "zh:[0-9a-f]{64}",$', lock, re.MULTILINE)) >= 14


def test_checkov_finds_nothing_and_every_waiver_has_its_reason() -> None:
    command = [tool("checkov"), "-d", str(TERRAFORM), "--framework", "terraform", "--skip-download", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    results = json.loads(done.stdout)["results"]
    failed = [f"{check['check_id']} {check['resource']}" for check in results["failed_checks"]]
    waived = {
        check["check_id"]: check["check_result"].get("suppress_comment", "") for check in results["skipped_checks"]
    }
    assert not failed
    assert len(results["passed_checks"]) > 100, "checkov has not read the configurations"
    assert waived
    assert not [check for check, reason in waived.items() if len(reason.split()) < 5], waived
    assert not results["parsing_errors"]
