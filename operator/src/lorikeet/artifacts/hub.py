"""A Hugging Face hub through its own client: what a revision holds, and the bytes of one file.

These calls block, for up to `Patience.deadline` in all; `fetch` runs them in threads. The client's own download loop
sleeps and retries where a rate limit says "in an hour"; here each failure goes back to the caller instead, with the
wait the hub asked for.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import BinaryIO

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import get_session, hf_raise_for_status  # type: ignore[attr-defined]

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.errors import ArtifactError, Denied, Invalid, Unavailable
from lorikeet.artifacts.source import COMMIT, HubSource

RESUMES = 3
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a write to an open file can say and no socket; such an error names no file."""
WAIT_LIMIT = 6 * 3600.0


@dataclass(frozen=True)
class RemoteFile:
    """One file of a revision as the hub declares it: `sha256` for LFS files, `blob_id` (git's sha1) for all."""

    name: str
    size: int
    sha256: str | None
    blob_id: str | None


@dataclass(frozen=True)
class Listing:
    """A revision, pinned, and its files."""

    source: HubSource
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class Patience:
    """Seconds: `answer` for a reply's start and for each pause inside it, `total` for one file."""

    answer: float = 10.0
    total: float = 3600.0


class Stop:
    """Tells a thread to give up: set by whoever no longer wants its work, and asked between chunks."""

    def __init__(self) -> None:
        self._event = Event()

    def set(self) -> None:
        self._event.set()

    def check(self) -> None:
        """Raises Unavailable once set."""
        if self._event.is_set():
            raise Unavailable(Reason.SOURCE_UNAVAILABLE, "it is no longer wanted")


class Hub:
    """One hub by its endpoint, such as https://huggingface.co or a mirror. `clock` is monotonic, in seconds."""

    def __init__(
        self, endpoint: str, patience: Patience | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._patience = patience or Patience()
        self._clock = clock

    def listing(self, source: HubSource, token: str | None) -> Listing:
        """What `source` means now, with sizes and hashes, before a byte is fetched. Raises ArtifactError."""
        with said(source):
            info = HfApi(endpoint=self._endpoint, token=token or False).model_info(
                source.repo, revision=source.revision, files_metadata=True, timeout=self._patience.answer
            )
        commit = info.sha or ""
        if COMMIT.fullmatch(commit) is None:
            raise Unavailable(Reason.SOURCE_UNAVAILABLE, f"the hub names no commit for {source}")
        files = tuple(
            RemoteFile(
                sibling.rfilename, sibling.size or 0, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id
            )
            for sibling in info.siblings or ()
        )
        return Listing(source.at(commit), files)

    def download(self, source: HubSource, file: RemoteFile, target: Path, token: str | None, stop: Stop) -> str:
        """Write `file` of the pinned `source` to the new file `target`; its sha256. Raises ArtifactError.

        A broken transfer is resumed where it stopped. The bytes are exactly what the hub declared, or it raises.
        """
        url = hf_hub_url(source.repo, file.name, revision=source.revision, endpoint=self._endpoint)
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})
        deadline = self._clock() + self._patience.total
        with target.open("xb") as out:
            sums = Sums(file, out)
            for attempt in range(RESUMES + 1):
                try:
                    with said(source):
                        self._stream(url, headers, sums, stop, deadline)
                    break
                except Unavailable as error:
                    if attempt == RESUMES or error.retry_after is not None or self._clock() > deadline:
                        raise
                    stop.check()
        return sums.verified(source)

    def _stream(self, url: str, headers: dict[str, str], sums: Sums, stop: Stop, deadline: float) -> None:
        """Append what is missing. Raises httpx2's and the client's errors, Unavailable, Invalid."""
        if sums.got:
            headers = headers | {"Range": f"bytes={sums.got}-"}
        with get_session().stream("GET", url, headers=headers, timeout=self._patience.answer) as response:
            hf_raise_for_status(response)
            if sums.got and response.status_code != 206:  # the server ignored the range
                sums.restart()
            for chunk in response.iter_raw():  # as it arrives: a larger chunk would be waited for, drip by drip
                stop.check()
                if self._clock() > deadline:
                    took = f"it took more than {self._patience.total:g} s for {sums.file.name}"
                    raise Unavailable(Reason.SOURCE_UNAVAILABLE, took, retry_after=60.0)
                sums.add(chunk)
        if sums.got < sums.file.size:
            sent = f"the hub sent {sums.got} of {sums.file.size} bytes of {sums.file.name}"
            raise Unavailable(Reason.SOURCE_UNAVAILABLE, sent)


class Sums:
    """A file being written and its hashes, so that no byte is read twice."""

    def __init__(self, file: RemoteFile, out: BinaryIO) -> None:
        self.file, self._out = file, out
        self.restart()

    def restart(self) -> None:
        self._out.seek(0)
        self._out.truncate()
        self.got = 0
        self._sha256 = hashlib.sha256()
        # git's name for these bytes, not a security measure: where the hub gives a sha256 that decides
        self._blob = hashlib.sha1(b"blob %d\0" % self.file.size, usedforsecurity=False)

    def add(self, chunk: bytes) -> None:
        self.got += len(chunk)
        if self.got > self.file.size:
            self.restart()
            said = f"the hub sends more of {self.file.name} than the {self.file.size} bytes it declared"
            raise Invalid(Reason.DIGEST_MISMATCH, said)
        self._sha256.update(chunk)
        self._blob.update(chunk)
        self._out.write(chunk)

    def verified(self, source: HubSource) -> str:
        """The sha256 of the bytes, if they are what was declared. Raises Unavailable: a second try may be whole."""
        ok = self._sha256.hexdigest() == self.file.sha256 if self.file.sha256 else False
        if not self.file.sha256 and self.file.blob_id:
            ok = self._blob.hexdigest() == self.file.blob_id
        if not ok:
            said = f"the bytes of {self.file.name} from {source} are not those the hub declared"
            raise Unavailable(Reason.DIGEST_MISMATCH, f"{said}: look at the hub or the network between")
        return self._sha256.hexdigest()


@contextmanager
def said(source: HubSource) -> Iterator[None]:
    """The one place where the hub's and the network's errors become ours."""
    try:
        yield
    except HfHubHTTPError as error:
        raise refusal(error.response, source) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        if isinstance(error, OSError) and (error.filename is not None or error.errno in DISK):  # not the network
            raise
        what = f"the hub does not answer for {source}: {type(error).__name__}"
        raise Unavailable(Reason.SOURCE_UNAVAILABLE, what) from error
    except (ValueError, TypeError, KeyError) as error:
        raise Unavailable(Reason.SOURCE_UNAVAILABLE, f"the hub's answer for {source} makes no sense") from error


def refusal(response: httpx2.Response, source: HubSource) -> ArtifactError:
    """What an HTTP error of the hub says about `source`."""
    code, status = response.headers.get("X-Error-Code"), response.status_code
    if code == "GatedRepo":
        advice = "accept its terms with the account of the token that spec.source.credentialsKey names"
        return Denied(Reason.SOURCE_GATED, f"{source.repo} is gated: {advice}")
    if code == "RevisionNotFound":
        return Denied(Reason.REVISION_NOT_FOUND, f"{source.repo} has no revision {source.revision}: check the URI")
    if status in (401, 403):
        advice = "check the token that spec.source.credentialsKey names, and the repository's name"
        return Denied(Reason.SOURCE_UNAUTHORIZED, f"the hub does not let us read {source.repo} ({status}): {advice}")
    if status in (404, 410):
        return Denied(Reason.SOURCE_NOT_FOUND, f"the hub has no {source.repo}: check the URI and the token's rights")
    if status == 429:
        said = f"the hub limits our requests for {source}"
        return Unavailable(Reason.SOURCE_RATE_LIMITED, said, retry_after=wait(response) or 60.0)
    return Unavailable(Reason.SOURCE_UNAVAILABLE, f"the hub answered {status} for {source}", retry_after=wait(response))


def wait(response: httpx2.Response) -> float | None:
    """Seconds that Retry-After asks for; None where it asks for nothing we understand."""
    value = response.headers.get("Retry-After", "").strip()
    return min(float(value), WAIT_LIMIT) if value.isascii() and value.isdigit() and len(value) < 12 else None
