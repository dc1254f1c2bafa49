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


class Names:
    """One namespace's claims, and who holds each name, kept up as claims come and go."""

    def __init__(self) -> None:
        self._claims: dict[str, set[Claim]] = {}
        self.holders: dict[str, Ref] = {}
        """Public name → who holds it."""
        self.answering: dict[str, frozenset[Ref]] = {}
        """Public name → who answers to it, as gateways were told; for a moment also one that has given it up."""

    def change(self, gone: Iterable[Claim], new: Iterable[Claim]) -> set[Ref]:
        """Take claims out and in. Returns everybody who asks for a name that has changed hands."""
        gone, new = set(gone), set(new)
        for claim in gone - new:
            self._claims[claim.name].discard(claim)
        for claim in new - gone:
            self._claims.setdefault(claim.name, set()).add(claim)
        return {ref for name in sorted({claim.name for claim in gone ^ new}) for ref in self._settle(name)}

    def answer(self, who: Ref, before: frozenset[str], after: frozenset[str]) -> set[Ref]:
        """`who` answers to other names than before. Returns everybody who asks for one of those, or answers to it."""
        moved: set[Ref] = set()
        for name in sorted(before ^ after):
            others = self.answering.pop(name, frozenset()) - {who}
            if now := others | {who} if name in after else others:
                self.answering[name] = now
            moved |= others | {claim.holder for claim in self._claims.get(name, ())}
        return moved

    def _settle(self, name: str) -> set[Ref]:
        claims, before = self._claims[name], self.holders.pop(name, None)
        if claims:
            self.holders[name] = min(claims).holder
        else:
            del self._claims[name]
        return {claim.holder for claim in claims} if self.holders.get(name) != before else set()
