"""Source URIs: what a user writes, and its pinned form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.errors import Denied, Invalid

PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
HF = re.compile(rf"hf://(?P<repo>{PART}/{PART})(?:@(?P<revision>[A-Za-z0-9][A-Za-z0-9._/-]{{0,127}}))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")
TOKEN_LIMIT = 4096  # bytes


@dataclass(frozen=True)
class HubSource:
    """A repository on a Hugging Face hub, at a branch, tag or commit."""

    repo: str
    revision: str

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit: the same bytes for ever."""
        return COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> HubSource:
        return HubSource(self.repo, commit)

    def __str__(self) -> str:
        return f"hf://{self.repo}@{self.revision}"


def parse(uri: str) -> HubSource:
    """The source `uri` names; without a revision that is `main`. Raises Invalid."""
    match = HF.fullmatch(uri)
    if match is None or ".." in uri or uri.endswith("/") or "//" in uri[len("hf://") :]:
        raise Invalid(Reason.INVALID_SOURCE, f"{uri[:200]!r} is no source: write hf://OWNER/REPO@REVISION")
    return HubSource(match["repo"], match["revision"] or "main")


def credentials(folder: Path, key: str | None) -> str | None:
    """The token in the file `key` of the mounted Secret; None where no key is asked for. Raises Denied."""
    if key is None:
        return None
    if KEY.fullmatch(key) is None:
        raise Invalid(Reason.INVALID_SOURCE, f"{key[:80]!r} is no key of a Secret")
    try:
        with (folder / key).open("rb") as file:
            token = file.read(TOKEN_LIMIT).decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not token.isprintable() or not token:
        advice = f"add the key {key} to the Secret that the server's spec.sources.secretRef names"
        raise Denied(Reason.CREDENTIALS_MISSING, f"there is no usable token under the key {key}: {advice}")
    return token
