"""The words that every step uses."""

from __future__ import annotations

import pytest

from lorikeet.testing.host import SETUP, Host, can_have_roots


def step(host: Host, script: str, text: str = "") -> tuple[int, str]:
    if not can_have_roots():
        pytest.skip("steps run as root")
    done = host.run("bash", "-c", f"set -euo pipefail; source {SETUP}/steps/step.sh; {script}", text=text)
    return done.status, done.out + done.said


@pytest.mark.parametrize(
    ("version", "wanted", "holds"),
    [
        ("1.17.8", "1.17.8", True),
        ("1.18.0", "1.17.8", True),
        ("1.17.10", "1.17.8", True),
        ("1.17.8-1", "1.17.8", True),
        ("v2.3.6", "2.3.6", True),
        ("1.7.28-0ubuntu1~24.04.1", "2.3.6", False),
        ("1.17.7", "1.17.8", False),
        ("1.9.9", "1.17.8", False),
        ("1.17.8-rc.1", "1.17.8", False),
        ("", "1.17.8", False),
    ],
)
def test_versions_are_compared_number_by_number(host: Host, version: str, wanted: str, holds: bool) -> None:
    assert step(host, f"version_at_least '{version}' {wanted} && echo holds || echo 'does not'") == (
        0,
        "holds\n" if holds else "does not\n",
    )


def test_a_file_is_written_whole_with_its_mode_and_only_when_it_changes(host: Host) -> None:
    file = host.folder / "etc" / "some.conf"
    write = f"write_if_changed {file} 600 && echo changed || echo same"
    assert step(host, write, "one\ntwo\n") == (0, "changed\n")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("one\ntwo\n", 0o600)
    assert step(host, write, "one\ntwo\n") == (0, "same\n")
    assert step(host, write, "three\n") == (0, "changed\n")
    assert [one.name for one in file.parent.iterdir()] == ["some.conf"]


def test_a_command_is_tried_again_with_longer_and_longer_pauses(host: Host) -> None:
    host.program("flaky", 'echo >>"$state/tries"; [[ $(wc -l <"$state/tries") -ge 4 ]]')
    status, _ = step(host, "retry 5 flaky")
    assert status == 0
    assert host.calls("sleep") == ["sleep 2", "sleep 4", "sleep 8"]


def test_a_command_that_always_fails_fails_in_the_end(host: Host) -> None:
    host.program("broken", "exit 7")
    status, _ = step(host, "retry 3 broken || echo status $?")
    assert (status, len(host.calls("broken"))) == (0, 3)


def test_a_kind_of_host_that_does_not_exist_is_said(host: Host) -> None:
    host.environment["SOURCES"] = "/nowhere/windows.sh"
    status, said = step(host, "true")
    assert status == 1
    assert "there is no /nowhere/windows.sh: set SOURCES to the file for this kind of host" in said
