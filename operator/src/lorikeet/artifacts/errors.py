"""What can go wrong between a source and verified files: each class says what to do next.

Messages are predicates without a subject ("the hub has no ..."); who asks puts the adapter's or model's name in front.
They never hold a token: nothing of a request's headers enters them.
"""

from __future__ import annotations

from lorikeet.api.conditions import Reason


class ArtifactError(Exception):
    """Any of the below. `lasting` is True where the same input fails again."""

    lasting = True

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message
        self.retry_after = retry_after
        """Seconds the source asked us to wait, or that we know make sense."""


class Unavailable(ArtifactError):
    """The source does not answer now, or not completely: try again later."""

    lasting = False


class Denied(ArtifactError):
    """The source says no. Only a change elsewhere (a token, an access right, a repository) helps: ask seldom."""


class Invalid(ArtifactError):
    """The URI or the bytes are wrong, and will be."""
