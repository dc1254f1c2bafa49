"""Each kind of host is one file with the same names in it: what a step uses is in all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lorikeet.testing.host import SETUP

SOURCES = {file.name: file.read_text() for file in sorted((SETUP / "sources").glob("*.sh"))}
USERS = [file for folder in ("steps", "aws") for file in sorted((SETUP / folder).iterdir())]
DEFINED = re.compile(r"^(\w+)(?:\(\)|=)", re.MULTILINE)


def defined(text: str) -> set[str]:
    return set(DEFINED.findall(text))


def used(name: str) -> list[Path]:
    word = re.compile(rf"(?<![\w-]){name}(?![\w-])")
    return [user for user in USERS if word.search(without_comments(user.read_text()))]


def without_comments(text: str) -> str:
    return re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


SEAM = {name for name in set().union(*map(defined, SOURCES.values())) if used(name)}


def test_there_are_two_kinds_of_hosts_and_a_seam_between_them() -> None:
    assert set(SOURCES) == {"local.sh", "ubuntu.sh"}
    assert {"install_packages", "KUBELET_SETTINGS", "run_hourly", "PROBE_CONNECT"} <= SEAM


@pytest.mark.parametrize("name", sorted(SEAM))
@pytest.mark.parametrize("source", sorted(SOURCES))
def test_a_name_that_a_step_uses_is_defined_for_every_kind_of_host(source: str, name: str) -> None:
    assert name in defined(SOURCES[source]), f"{used(name)[0].name} uses it"


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_a_kind_of_host_has_no_setting_that_nobody_reads(source: str) -> None:
    settings = {name for name in defined(SOURCES[source]) if name.isupper()}
    assert {name for name in settings if not used(name)} == set()


def test_the_scripts_that_user_data_carries_need_nothing_else_of_this_repository() -> None:
    """User data has no cluster-setup/local; only the local kind of host may look there."""
    carried = [*USERS, SETUP / "sources/ubuntu.sh", SETUP / "say.sh", SETUP / "versions.sh"]
    assert [file.name for file in carried if "../local" in without_comments(file.read_text())] == []
