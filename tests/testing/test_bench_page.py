"""What was measured becomes a table and a plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lorikeet.testing.bench import page

ONE: dict[str, Any] = {"first load ms": 38.2, "all loads ms": 41.0, "ready ms": 60.4, "api writes": 2}
MANY: dict[str, Any] = {
    "all loads s": 3.2,
    "all ready s": 3.4,
    "floor s": 3.0,
    "api writes": 180,
    "engine lists": 30,
    "pushes": 12,
    "operator cpu s": 1.25,
}
FOUND: dict[str, Any] = {
    "machine": {"cores": 2, "memory GB": 25, "load": 0.42},
    "rows": {
        "a": {"with a download": ONE, "bytes there": ONE},
        "b": {"with a download": MANY, "bytes there": MANY},
    },
}


def test_the_table_has_a_line_for_each_figure_and_none_for_what_was_not_measured() -> None:
    made = page.table(FOUND)
    assert "2 cores with 25 GB, load 0.4" in made
    assert "| a. one adapter, bytes there: first load / all 4 / Ready | 38 / 41 / 60 ms | 30 / ≤ 60 / ≤ 90 ms |" in made
    assert (
        "| b. API writes; engine lists; pushes; operator CPU | 180; 30; 12; 1.2 s | ≤ 200; ≤ 40; –; ≤ 1.5 s |" in made
    )
    assert "\n| c." not in made


def test_the_plot_is_the_same_for_the_same_figures(tmp_path: Path) -> None:
    drawn = [tmp_path / "one.svg", tmp_path / "two.svg"]
    for path in drawn:
        page.draw(FOUND, path)
    first, second = (path.read_bytes() for path in drawn)
    assert first == second
    assert first.count(b"<svg") == 1
