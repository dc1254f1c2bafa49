"""Where a long prompt's beginning was last read: the engine there has it in its prefix cache."""

from __future__ import annotations

from collections import OrderedDict

PREFIXES = 16_384
"""Beginnings remembered."""


class Affinity:
    """From a model and a prompt's beginning to an address."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[str, int], str] = OrderedDict()

    def place(self, model: str, prefix: int) -> str | None:
        """The address that last read this beginning for this model. `prefix` 0: too short to matter."""
        return self._places.get((model, prefix)) if prefix else None

    def read(self, model: str, prefix: int, address: str) -> None:
        """`address` is reading it now."""
        if not prefix:
            return
        self._places[model, prefix] = address
        self._places.move_to_end((model, prefix))
        if len(self._places) > PREFIXES:
            self._places.popitem(last=False)
