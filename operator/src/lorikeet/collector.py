"""Python's garbage collector in processes that hold very many objects for long."""

from __future__ import annotations

import gc


def spare_the_collector() -> None:
    """Look for cycles seldom: our work makes few, and each look goes through tables of thousands of objects.

    With 10,000 adapters two fifths of the operator's time went into looks.
    """
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
