"""What the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.gateway.settings import Settings

KEY = {"LORIKEET_ROOT_KEY_FILE": "/etc/key"}


def test_without_namespaces_all_are_served() -> None:
    assert Settings.from_environment(KEY) == Settings(Path("/etc/key"), (None,))
    assert Settings.from_environment({**KEY, "LORIKEET_NAMESPACES": " b, a,,b "}).namespaces == ("a", "b")


def test_the_table_is_kept_where_a_folder_is_given() -> None:
    assert Settings.from_environment({**KEY, "LORIKEET_STATE_DIR": "/var/lib/x"}).state == Path("/var/lib/x")
    assert Settings.from_environment({**KEY, "LORIKEET_STATE_DIR": ""}).state is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "LORIKEET_ROOT_KEY_FILE"),
        ({**KEY, "LORIKEET_PORT": "http"}, "LORIKEET_PORT"),
        ({**KEY, "LORIKEET_ADMIN_PORT": "70000"}, "LORIKEET_ADMIN_PORT"),
        ({**KEY, "LORIKEET_GRACE_SECONDS": "-1"}, "LORIKEET_GRACE_SECONDS"),
        ({**KEY, "LORIKEET_LINGER_SECONDS": "nan"}, "LORIKEET_LINGER_SECONDS"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings.from_environment(environment)
