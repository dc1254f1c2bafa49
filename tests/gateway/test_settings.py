"""What the environment may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.gateway.settings import MOST_WORKERS, Settings, usable_cores

KEY = {"LORIKEET_ROOT_KEY_FILE": "/etc/key", "LORIKEET_AUTH": "none"}
KEYS = {"LORIKEET_ROOT_KEY_FILE": "/etc/key", "LORIKEET_KEY_SECRETS": "b, a", "LORIKEET_NAMESPACE": "ns"}


def test_without_namespaces_all_are_served() -> None:
    assert Settings.from_environment(KEY) == Settings(Path("/etc/key"), (None,), auth="none")
    assert Settings.from_environment({**KEY, "LORIKEET_NAMESPACES": " b, a,,b "}).namespaces == ("a", "b")


def test_without_keys_it_listens_to_this_machine_alone_unless_that_is_what_is_said() -> None:
    bare = {"LORIKEET_ROOT_KEY_FILE": "/etc/key"}
    for host in ("0.0.0.0", "10.0.0.1", "::"):
        with pytest.raises(ValueError, match=f"does not listen on {host}"):
            Settings.from_environment({**bare, "LORIKEET_HOST": host})
        assert Settings.from_environment({**bare, "LORIKEET_HOST": host, "LORIKEET_AUTH": "none"}).open
    assert Settings.from_environment({**bare, "LORIKEET_HOST": "127.0.0.1"}).open
    keyed = Settings.from_environment(KEYS)
    assert (keyed.open, keyed.key_secrets, keyed.namespace) == (False, ("a", "b"), "ns")


def test_workers_are_as_many_as_is_said_or_as_cores_may_be_used() -> None:
    assert Settings.from_environment({**KEY, "LORIKEET_WORKERS": "auto"}).workers == usable_cores() <= MOST_WORKERS
    assert Settings.from_environment(KEY).workers == 1
    assert Settings.from_environment({**KEY, "LORIKEET_WORKERS": "7"}).workers == 7
    assert Settings.from_environment({**KEY, "LORIKEET_WORKERS": "0"}).workers == 1


def test_the_table_is_kept_where_a_folder_is_given() -> None:
    assert Settings.from_environment({**KEY, "LORIKEET_STATE_DIR": "/var/lib/x"}).state == Path("/var/lib/x")
    assert Settings.from_environment({**KEY, "LORIKEET_STATE_DIR": ""}).state is None


def test_clients_speak_tls_where_a_folder_is_given() -> None:
    assert Settings.from_environment({**KEY, "LORIKEET_TLS_DIR": "/etc/x"}).tls == Path("/etc/x")
    assert Settings.from_environment({**KEY, "LORIKEET_TLS_DIR": ""}).tls is None


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "LORIKEET_ROOT_KEY_FILE"),
        ({**KEY, "LORIKEET_PORT": "http"}, "LORIKEET_PORT"),
        ({**KEY, "LORIKEET_ADMIN_PORT": "70000"}, "LORIKEET_ADMIN_PORT"),
        ({**KEY, "LORIKEET_GRACE_SECONDS": "-1"}, "LORIKEET_GRACE_SECONDS"),
        ({**KEY, "LORIKEET_AUTH": "no"}, "LORIKEET_AUTH"),
        ({**KEYS, "LORIKEET_NAMESPACE": ""}, "LORIKEET_NAMESPACE"),
        ({**KEY, "LORIKEET_LINGER_SECONDS": "nan"}, "LORIKEET_LINGER_SECONDS"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(environment: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings.from_environment(environment)
