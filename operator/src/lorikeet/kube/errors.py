"""What can go wrong at the API server, by what to do next."""

from __future__ import annotations

import json


class KubeError(Exception):
    """Any failure of a call to the API server."""


class Unreachable(KubeError):
    """No answer, or one that says later (429, 5xx): the same call may succeed in a while."""


class Refused(KubeError):
    """The API server will not do it (400, 401, 403, 422): the same call fails again."""


class NotFound(KubeError):
    """The object, or its kind, is not there."""


class Conflict(KubeError):
    """Somebody wrote in between (409): read again, then decide again."""


class Expired(KubeError):
    """The resourceVersion is too old (410): list again."""


def from_status(status: int, text: str, call: str) -> KubeError:
    """The error for an answer's HTTP `status` and body; `call` names what was asked."""
    try:
        message = json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        message = text[:300]
    kinds: dict[int, type[KubeError]] = {404: NotFound, 409: Conflict, 410: Expired}
    later = status == 429 or status >= 500
    return kinds.get(status, Unreachable if later else Refused)(f"{call}: {status} {message}")
