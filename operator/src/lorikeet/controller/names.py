"""Who holds which public name of a namespace. Pure.

A name belongs to the oldest object that asks for it; creation times have a resolution of one second, so the uid breaks
ties. The base models' names are taken before any adapter's: an adapter named like the base would hide it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lorikeet.api.ref import Ref


@dataclass(frozen=True, order=True)
class Claim:
    """One object asks for one name. The smallest claim of a name wins."""

    rank: int
    """0 for a ModelServer's own model, 1 for an adapter."""
    created: str
    uid: str
    holder: Ref
    name: str


def holders(claims: Iterable[Claim]) -> dict[str, Ref]:
    """Public name → who holds it."""
    held: dict[str, Ref] = {}
    for claim in sorted(claims):
        held.setdefault(claim.name, claim.holder)
    return held
