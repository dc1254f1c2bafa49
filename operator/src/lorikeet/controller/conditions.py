"""Conditions made from facts, with transition times that only move when the status does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorikeet.api.conditions import UNDER_WAY, Condition, Kind, Reason, Status

MESSAGE_LIMIT = 2000


@dataclass(frozen=True)
class Finding:
    """One condition's content."""

    kind: Kind
    status: Status
    reason: Reason
    message: str


def yes(kind: Kind, reason: Reason, message: str) -> Finding:
    """It holds."""
    return Finding(kind, "True", reason, message)


def no(kind: Kind, reason: Reason, message: str) -> Finding:
    """It does not hold."""
    return Finding(kind, "False", reason, message)


def unknown(kind: Kind, reason: Reason, message: str) -> Finding:
    """It cannot be told yet."""
    return Finding(kind, "Unknown", reason, message)


MENDING = UNDER_WAY | {Reason.NO_REPLICAS}
"""Reasons that mend themselves: the others are failures that somebody should hear of."""


def ready_from(findings: Sequence[Finding], otherwise: Finding) -> Finding:
    """Ready, derived: the first failure, else the first finding that is not True, else `otherwise`."""
    missing = [finding for finding in findings if finding.status != "True"]
    failures = [finding for finding in missing if finding.status == "False" and finding.reason not in MENDING]
    bad = next(iter([*failures, *missing]), None)
    return Finding(Kind.READY, "False", bad.reason, bad.message) if bad else otherwise


def written(
    findings: Iterable[Finding], before: Iterable[Condition], generation: int, now: str
) -> tuple[Condition, ...]:
    """The findings as conditions; one whose status is as before keeps its transition time."""
    since = {condition.type: condition for condition in before}
    return tuple(_written(finding, since.get(finding.kind), generation, now) for finding in findings)


def _written(finding: Finding, before: Condition | None, generation: int, now: str) -> Condition:
    message = finding.message[:MESSAGE_LIMIT]
    found = (finding.status, finding.reason, message, generation)
    if before and found == (before.status, before.reason, before.message, before.observed_generation):
        return before  # as it is: thousands are looked at in each pass
    same = before is not None and before.status == finding.status and before.last_transition_time
    return Condition(
        type=finding.kind,
        status=finding.status,
        reason=finding.reason,
        message=message,
        observed_generation=generation,
        last_transition_time=before.last_transition_time if before and same else now,
    )
