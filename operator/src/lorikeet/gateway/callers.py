"""Who asks: a key's holder, and what it may ask for."""

from __future__ import annotations

from dataclasses import dataclass

from lorikeet.api.apikeys import KeyLimits
from lorikeet.gateway.catalog import Catalog, Route

ANYBODY = "anybody"
NO_LIMITS = KeyLimits()


@dataclass(frozen=True, eq=False, slots=True)
class Tenant:
    """Whom a key belongs to."""

    name: str
    weight: float = 1.0
    limits: KeyLimits = NO_LIMITS
    salt: str = ""
    """Keeps its prompts apart in engines' prefix caches; empty: not kept apart."""


@dataclass(frozen=True, eq=False, slots=True)
class Caller:
    """One key. Compared by identity: a key whose entry changed is another caller."""

    id: str
    tenant: Tenant
    models: tuple[str, ...] = ()
    limits: KeyLimits = NO_LIMITS
    admin: bool = False
    until: float = float("inf")  # seconds since the epoch

    def may(self, route: Route, catalog: Catalog) -> bool:
        """Whether this object is one of the models that the key is for, under whatever name it was asked.

        A bare name is the model that has this name now: another namespace's of the same name is another model.
        """
        if not self.models:
            return True
        row = route.row
        names = {f"{row.ref.namespace}:{name}" for name in row.names}
        names |= {name for name in row.names if catalog.holder(name) is row}
        return any(_matches(pattern, name) for pattern in self.models for name in names)


def _matches(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
