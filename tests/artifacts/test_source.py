"""Source URIs and their credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.errors import Denied, Invalid
from lorikeet.artifacts.source import HubSource, credentials, parse


@pytest.mark.parametrize(
    ("uri", "source"),
    [
        ("hf://acme/sql", HubSource("acme/sql", "main")),
        ("hf://acme/sql@v1.2", HubSource("acme/sql", "v1.2")),
        ("hf://acme/sql@refs/pr/1", HubSource("acme/sql", "refs/pr/1")),
        ("hf://a/b@" + "a" * 40, HubSource("a/b", "a" * 40)),
    ],
)
def test_a_uri_names_repository_and_revision(uri: str, source: HubSource) -> None:
    assert parse(uri) == source


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "acme/sql",
        "hf://acme",
        "hf://a/b/c",
        "hf://../x",
        "hf://acme/..",
        "hf://--help/x",
        "hf://acme/sql@HEAD~1",
        "hf://acme/sql@",
        "hf://acme/sql@a/../../b",
        "hf://acme/sql@a//b",
        "hf://acme/sql@v1/",
        "hf://acme/sql@" + "v" * 1024,
        "hf://acme/sql\n",
        "hf://acme/sql@v1?x=y",
        "s3://b/../../x",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "http://[::1]/x",
    ],
)
def test_what_is_no_uri_of_ours_is_refused(uri: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse(uri)
    assert caught.value.reason is Reason.INVALID_SOURCE


def test_only_a_commit_is_pinned() -> None:
    assert not parse("hf://acme/sql").pinned
    assert parse("hf://acme/sql").at("0" * 40).pinned


def test_no_key_is_no_token(tmp_path: Path) -> None:
    assert credentials(tmp_path, None) is None


def test_a_key_names_a_file_with_a_token(tmp_path: Path) -> None:
    (tmp_path / "acme").write_text("hf_secret\n")
    assert credentials(tmp_path, "acme") == "hf_secret"


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"two\nlines", b"a\rb"])
def test_a_key_without_a_usable_token_is_missing_credentials(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "acme").write_bytes(content)
    with pytest.raises(Denied, match=r"spec\.sources\.secretRef") as caught:
        credentials(tmp_path, "acme")
    assert caught.value.reason is Reason.CREDENTIALS_MISSING


@pytest.mark.parametrize("key", ["../agent-token", "/etc/passwd", "a/b", "", "x" * 300, "..", "..data"])
def test_a_key_never_leaves_its_folder(tmp_path: Path, key: str) -> None:
    (tmp_path / "inner" / "..data").mkdir(parents=True)
    (tmp_path / "agent-token").write_text("secret")
    with pytest.raises((Invalid, Denied)):
        credentials(tmp_path / "inner", key)
