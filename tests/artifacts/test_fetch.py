"""From the hub to verified files, with everything that goes wrong on the way."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.digest import content_digest, file_sha256
from lorikeet.artifacts.errors import ArtifactError, Denied, Invalid, Unavailable
from lorikeet.artifacts.fetch import Caps, Fetched, adapter_files, fetch, model_files, resolve
from lorikeet.artifacts.hub import Hub as Client
from lorikeet.artifacts.hub import Listing, Patience, RemoteFile, Sums
from lorikeet.artifacts.source import HubSource, parse
from lorikeet.testing.hub import Fault, Hub, Kind

WEIGHTS = bytes(range(256)) * 1000
SOURCE = parse("hf://acme/sql")


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    folder = tmp_path / "hub/acme/sql/v1"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (folder / "README.md").write_text("not fetched")
    async with Hub(tmp_path / "hub") as running:
        yield running


async def bring(hub: Hub, folder: Path, patience: Patience | None = None, caps: Caps | None = None) -> Fetched:
    client = Client(hub.url, patience or Patience(answer=2.0))
    listing = await resolve(client, SOURCE, None)
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    return await fetch(client, listing, adapter_files(listing), folder, None, caps or Caps())


async def test_the_named_files_arrive_and_nothing_else(hub: Hub, tmp_path: Path) -> None:
    fetched = await bring(hub, tmp_path / "got")
    assert fetched.source.pinned
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == sorted(fetched.files)
    assert fetched.files["adapter_model.safetensors"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert fetched.bytes == len(WEIGHTS) + 8


async def test_the_digest_is_what_sha256sum_says(hub: Hub, tmp_path: Path) -> None:
    fetched = await bring(hub, tmp_path / "got")
    command = "LC_ALL=C sha256sum adapter_config.json adapter_model.safetensors | sha256sum"
    said = await asyncio.to_thread(subprocess.check_output, command, shell=True, cwd=tmp_path / "got", text=True)
    assert said.split()[0] == fetched.digest


async def test_a_broken_transfer_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault(Kind.TRUNCATE, "GET .*safetensors", times=2))
    fetched = await bring(hub, tmp_path / "got")
    assert fetched.files["adapter_model.safetensors"] == file_sha256(tmp_path / "got/adapter_model.safetensors")
    assert sum("safetensors" in asked for asked in hub.requests) == 3


FAULTS: list[tuple[str, Fault, type[ArtifactError], Reason, float | None]] = [
    ("500", Fault(Kind.STATUS, times=9), Unavailable, Reason.SOURCE_UNAVAILABLE, None),
    (
        "503 with a wait",
        Fault(Kind.STATUS, status=503, headers=(("Retry-After", "9"),)),
        Unavailable,
        Reason.SOURCE_UNAVAILABLE,
        9.0,
    ),
    (
        "429 with a wait",
        Fault(Kind.STATUS, status=429, headers=(("Retry-After", "30"),)),
        Unavailable,
        Reason.SOURCE_RATE_LIMITED,
        30.0,
    ),
    ("429", Fault(Kind.STATUS, status=429), Unavailable, Reason.SOURCE_RATE_LIMITED, 60.0),
    ("401", Fault(Kind.STATUS, status=401), Denied, Reason.SOURCE_UNAUTHORIZED, None),
    ("403", Fault(Kind.STATUS, status=403), Denied, Reason.SOURCE_UNAUTHORIZED, None),
    ("404", Fault(Kind.STATUS, status=404), Denied, Reason.SOURCE_NOT_FOUND, None),
    ("cut each time", Fault(Kind.TRUNCATE, times=99), Unavailable, Reason.SOURCE_UNAVAILABLE, None),
    ("a flipped bit", Fault(Kind.FLIP, "GET .*safetensors"), Unavailable, Reason.DIGEST_MISMATCH, None),
    ("a flipped bit in a small file", Fault(Kind.FLIP, "GET .*json"), Unavailable, Reason.DIGEST_MISMATCH, None),
    ("no answer", Fault(Kind.HANG, times=9), Unavailable, Reason.SOURCE_UNAVAILABLE, None),
    ("a slow drip", Fault(Kind.DRIP, times=9, pause=0.002), Unavailable, Reason.SOURCE_UNAVAILABLE, 60.0),
]


@pytest.mark.parametrize(
    ("fault", "error", "reason", "after"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS]
)
async def test_what_goes_wrong_at_the_hub_has_a_reason(
    hub: Hub, tmp_path: Path, fault: Fault, error: type[ArtifactError], reason: Reason, after: float | None
) -> None:
    hub.faults.append(replace(fault))
    with pytest.raises(error) as caught:
        await bring(hub, tmp_path / "got", Patience(answer=0.1, total=0.3))
    assert (caught.value.reason, caught.value.retry_after) == (reason, after)
    assert (await bring(hub_without_faults(hub), tmp_path / "again")).bytes == len(WEIGHTS) + 8


def hub_without_faults(hub: Hub) -> Hub:
    hub.faults.clear()
    return hub


async def test_a_whole_fetch_has_a_deadline(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault(Kind.DRIP, times=9, pause=0.002))
    with pytest.raises(Unavailable, match=r"more than 0\.2 s"):
        await bring(hub, tmp_path / "got", caps=Caps(seconds=0.2))


async def test_a_cancelled_fetch_has_stopped_writing_when_it_returns(hub: Hub, tmp_path: Path) -> None:
    hub.faults.append(Fault(Kind.DRIP, "GET .*safetensors", pause=0.001))
    task = asyncio.create_task(bring(hub, tmp_path / "got"))
    target = tmp_path / "got/adapter_model.safetensors"
    async with asyncio.timeout(5):
        while not target.exists():  # noqa: ASYNC110 - a file system has no event
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    size = target.stat().st_size
    await asyncio.sleep(0.05)
    assert target.stat().st_size == size < len(WEIGHTS)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [("hf://acme/none", Reason.SOURCE_NOT_FOUND), ("hf://acme/sql@v9", Reason.REVISION_NOT_FOUND)],
)
async def test_what_the_hub_does_not_have_is_said(hub: Hub, uri: str, reason: Reason) -> None:
    with pytest.raises(Denied, match="check the URI") as caught:
        await resolve(Client(hub.url), parse(uri), None)
    assert caught.value.reason is reason
    assert caught.value.lasting


@pytest.mark.parametrize(("how", "reason"), [("gated", Reason.SOURCE_GATED), ("private", Reason.SOURCE_UNAUTHORIZED)])
async def test_a_closed_repository_wants_a_token_which_no_message_shows(
    hub: Hub, tmp_path: Path, how: str, reason: Reason
) -> None:
    (tmp_path / "hub/acme/sql/.access").write_text(f'{{"{how}": true, "tokens": ["hf_good"]}}')
    with pytest.raises(Denied) as caught:
        await resolve(Client(hub.url), SOURCE, "hf_bad")
    assert caught.value.reason is reason
    assert "hf_bad" not in repr(caught.value)
    assert (await resolve(Client(hub.url), SOURCE, "hf_good")).source.pinned


async def test_a_hub_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await resolve(Client("http://127.0.0.1:9"), SOURCE, None)


async def test_a_token_is_never_taken_from_the_environment(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    (tmp_path / "hub/acme/sql/.access").write_text('{"private": true, "tokens": ["hf_good"]}')
    with pytest.raises(Denied):
        await resolve(Client(hub.url), SOURCE, None)


async def test_more_bytes_than_allowed_are_refused_before_a_file_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        await bring(hub, tmp_path / "got", caps=Caps(bytes=1000))
    assert caught.value.reason is Reason.TOO_LARGE
    assert not [asked for asked in hub.requests if "resolve" in asked]


async def test_a_full_disk_is_no_space_and_passes(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lorikeet.artifacts.fetch.SPARE", 10**18)
    with pytest.raises(Unavailable) as caught:
        await bring(hub, tmp_path / "got")
    assert caught.value.reason is Reason.NO_SPACE


async def test_a_disk_that_is_full_in_the_middle_is_no_fault_of_the_hub(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Sums, chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Sums, "add", full)
    with pytest.raises(OSError, match="No space left on device"):
        await bring(hub, tmp_path / "got")


async def test_more_bytes_than_declared_are_refused(hub: Hub, tmp_path: Path) -> None:
    client = Client(hub.url)
    listing = await resolve(client, SOURCE, None)
    config, weights = adapter_files(listing)
    lied = replace(weights, size=1000)
    with pytest.raises(Invalid, match="more of adapter_model"):
        await fetch(client, listing, (config, lied), tmp_path, None, Caps())


def listed(*names: str) -> Listing:
    return Listing(HubSource("acme/x", "1" * 40), tuple(RemoteFile(name, 10, "0" * 64, "0" * 40) for name in names))


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("adapter_config.json", "adapter_model.bin"), Reason.UNSAFE_FORMAT),
        (("adapter_config.json", "adapter_model.pt"), Reason.UNSAFE_FORMAT),
        (("adapter_config.json", "adapter_model.safetensors.index.json"), Reason.UNSUPPORTED_ADAPTER),
        (("adapter_config.json",), Reason.INVALID_ADAPTER),
        (("adapter_model.safetensors",), Reason.INVALID_ADAPTER),
        (("x/adapter_config.json", "x/adapter_model.safetensors"), Reason.INVALID_ADAPTER),
    ],
)
def test_what_is_no_adapter_is_refused_from_its_list_of_files(names: tuple[str, ...], reason: Reason) -> None:
    with pytest.raises(Invalid) as caught:
        adapter_files(listed(*names))
    assert caught.value.reason is reason


def test_of_a_model_configs_tokenizer_and_safetensors_are_fetched() -> None:
    wanted = (
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    )
    others = (
        "README.md",
        "modeling_evil.py",
        "pytorch_model.bin",
        "consolidated.safetensors",
        "../model.safetensors",
        "x/model.safetensors",
        ".git/config.json",
        "tokenizer.py",
        "model\n.safetensors",
    )
    assert tuple(file.name for file in model_files(listed(*wanted, *others))) == wanted


@pytest.mark.parametrize("names", [("config.json", "pytorch_model.bin"), ("config.json",), ("model.safetensors",)])
def test_what_is_no_safe_model_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(Invalid):
        model_files(listed(*names))


def test_the_digest_depends_on_names_and_bytes_and_on_no_order() -> None:
    one = {"a": "1" * 64, "b": "2" * 64}
    assert content_digest(one) == content_digest(dict(reversed(one.items())))
    assert (
        len({content_digest(one), content_digest({"a": "2" * 64, "b": "1" * 64}), content_digest({"a": "1" * 64})}) == 3
    )
