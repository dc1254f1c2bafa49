"""What became of each plan: as JSON for tools, as a table for people."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorikeet.testing.campaign.faults import Fault
from lorikeet.testing.campaign.plans import Plan

OK, FAILED, NOT_REACHED = "ok", "FAILED", "not reached"
SIGNS = {OK: "ok", FAILED: "FAILED", NOT_REACHED: "–"}


@dataclass(frozen=True)
class Outcome:
    """One plan's."""

    plan: Plan
    result: str
    """`ok`; `FAILED`; `not reached` where the life went well without ever having this effect."""
    wrong: tuple[str, ...] = ()
    seconds: float = 0.0
    samples: int = 0


def write(outcomes: Sequence[Outcome], folder: Path) -> str:
    """Write report.json and report.md into `folder`; the text of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "plan": str(outcome.plan),
            "result": outcome.result,
            "wrong": outcome.wrong,
            "seconds": round(outcome.seconds, 1),
            "samples": outcome.samples,
        }
        for outcome in sorted(outcomes, key=lambda outcome: outcome.plan)
    ]
    (folder / "report.json").write_text(json.dumps(rows, indent=1) + "\n")
    text = markdown(outcomes)
    (folder / "report.md").write_text(text)
    return text


def markdown(outcomes: Sequence[Outcome]) -> str:
    """A row for each effect, a column for each fault, and what went wrong in full."""
    counts = Counter(outcome.result for outcome in outcomes)
    samples = sum(outcome.samples for outcome in outcomes)
    said = ", ".join(f"{counts[result]} {result}" for result in (OK, FAILED, NOT_REACHED))
    lines = [f"{len(outcomes)} plans: {said}. {samples} samples.", "", *_table(outcomes)]
    failed = [outcome for outcome in outcomes if outcome.wrong]
    lines += [line for outcome in failed for line in ("", f"`{outcome.plan}`", "", *_bullets(outcome.wrong))]
    return "\n".join([*lines, ""])


def _table(outcomes: Iterable[Outcome]) -> list[str]:
    by_effect: dict[str, dict[Fault, str]] = {}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.plan):
        by_effect.setdefault(str(outcome.plan.effect), {})[outcome.plan.fault] = SIGNS[outcome.result]
    head = ["effect", *Fault]
    rows = [[f"`{effect}`", *(found.get(fault, "") for fault in Fault)] for effect, found in by_effect.items()]
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]


def _bullets(texts: Iterable[str]) -> list[str]:
    return [f"- {text}" for text in texts]
