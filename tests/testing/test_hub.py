"""The local hub, asked by the real huggingface-hub client."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lorikeet.testing.hub import Fault, Hub, Kind

WEIGHTS = bytes(range(256)) * 40


def publish(root: Path, revision: str, weights: bytes = WEIGHTS, repo: str = "acme/sql") -> Path:
    folder = root / repo / revision
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


async def info(hub: Hub, repo: str = "acme/sql", revision: str | None = None, token: str | None = None) -> Any:
    api = HfApi(endpoint=hub.url, token=token or False)
    return await asyncio.to_thread(api.model_info, repo, revision=revision, files_metadata=True, timeout=5)


async def test_a_revision_is_a_commit_with_sizes_and_hashes(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    async with Hub(tmp_path) as hub:
        found = await info(hub)
    files = {file.rfilename: file for file in found.siblings}
    assert len(found.sha) == 40
    assert files["adapter_model.safetensors"].lfs.sha256 == hashlib.sha256(WEIGHTS).hexdigest()
    assert files["adapter_config.json"].blob_id == hashlib.sha1(b'blob 8\0{"r": 8}').hexdigest()
    assert files["adapter_config.json"].lfs is None


async def test_main_is_the_last_revision_and_old_commits_stay(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    async with Hub(tmp_path) as hub:
        old = (await info(hub)).sha
        publish(tmp_path, "v2", b"other")
        new = (await info(hub, revision="main")).sha
        assert new == (await info(hub, revision="v2")).sha != old
        assert (await info(hub, revision=old)).sha == old


async def test_main_can_be_named(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    publish(tmp_path, "v2", b"other")
    (tmp_path / "acme/sql/main").write_text("v1\n")
    async with Hub(tmp_path) as hub:
        assert (await info(hub)).sha == (await info(hub, revision="v1")).sha


async def test_the_client_downloads_a_snapshot_of_a_commit(tmp_path: Path) -> None:
    publish(tmp_path / "hub", "v1")
    async with Hub(tmp_path / "hub") as hub:
        commit = (await info(hub)).sha
        folder = await asyncio.to_thread(
            snapshot_download,
            "acme/sql",
            revision=commit,
            local_dir=tmp_path / "got",
            endpoint=hub.url,
            token=False,
            allow_patterns=["*.safetensors"],
        )
    assert (Path(folder) / "adapter_model.safetensors").read_bytes() == WEIGHTS
    assert not (Path(folder) / "adapter_config.json").exists()


@pytest.mark.parametrize(
    ("repo", "revision", "error"),
    [
        ("acme/none", None, RepositoryNotFoundError),
        ("acme/sql", "v9", RevisionNotFoundError),
        ("acme/sql", "0" * 40, RevisionNotFoundError),
    ],
)
async def test_what_is_not_there_is_said_as_the_real_hub_says_it(
    tmp_path: Path, repo: str, revision: str | None, error: type[Exception]
) -> None:
    publish(tmp_path, "v1")
    async with Hub(tmp_path) as hub:
        with pytest.raises(error):
            await info(hub, repo, revision)


async def test_a_missing_file_is_an_entry_not_found(tmp_path: Path) -> None:
    publish(tmp_path / "hub", "v1")
    async with Hub(tmp_path / "hub") as hub:
        with pytest.raises(RemoteEntryNotFoundError):
            await asyncio.to_thread(
                hf_hub_download, "acme/sql", "none.json", endpoint=hub.url, token=False, local_dir=tmp_path / "got"
            )


@pytest.mark.parametrize(("how", "error"), [("gated", GatedRepoError), ("private", RepositoryNotFoundError)])
async def test_a_closed_repository_opens_to_its_token(tmp_path: Path, how: str, error: type[Exception]) -> None:
    publish(tmp_path, "v1")
    (tmp_path / "acme/sql/.access").write_text(json.dumps({how: True, "tokens": ["hf_good"]}))
    async with Hub(tmp_path) as hub:
        with pytest.raises(error):
            await info(hub)
        with pytest.raises(error):
            await info(hub, token="hf_bad")
        assert (await info(hub, token="hf_good")).sha


async def test_a_fault_strikes_as_often_as_scripted(tmp_path: Path) -> None:
    publish(tmp_path, "v1")
    async with Hub(tmp_path) as hub:
        hub.faults.append(Fault(Kind.STATUS, "GET /api/", times=1, status=429, headers=(("Retry-After", "7"),)))
        with pytest.raises(HfHubHTTPError) as caught:
            await info(hub)
        assert caught.value.response.headers["Retry-After"] == "7"
        assert (await info(hub)).sha
