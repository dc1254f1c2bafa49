"""From gateway.json to what people look at: a table in Markdown and a plot."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorikeet.testing.bench_gateway.rows import FAILED

HEAD = """# What a request costs a gateway

`make bench-gateway`: one process of each on one core, engine and clients on the other; median (least-most) of a few
rounds in turns, load {load:.1f} before they began. Lorikeet with keys, quotas by key and tenant, routing over
1,000 adapters, the model's name exchanged both ways, and metrics; nginx and aiohttp relay and look at nothing.
CPU is by /proc, in microseconds, ours under Python {python}. Compare columns, not numbers with those of another
machine. A gateway that could not do a row has the reason in its place.

Clients ask as fast as they can but for the rows at a rate. There a request finds all asleep, and waking them costs the
kernel more than nginx costs; a gateway that is faster than its clients is spared that in the other rows. What is added
to a delay is the difference to the engine asked directly just before: where that one stalled, it is below zero.

Raw numbers: [gateway.json](gateway.json).

![CPU for a request, one at a rate, a chunk and a long prompt](gateway.svg)

"""
TITLES = {
    ("request", "us"): "CPU µs for a request, 0.4 KB and 0.8 KB back",
    ("chunk", "us"): "CPU µs for a streamed chunk, 100 streams",
    ("225 KB", "us"): "CPU µs for a prompt of 225 KB",
    ("1000/s", "us"): "CPU µs for a request at 1,000 a second",
    ("1000/s", "p50 ms"): "added to its delay at that rate, p50 ms",
    ("1000/s", "p99 ms"): "the same, p99 ms",
    ("2500 streams", "us"): "CPU µs for a chunk, 2,500 live streams",
    ("2500 streams", "MB"): "memory with them, MB",
}
DRAWN = (("request", "us"), ("1000/s", "us"), ("chunk", "us"), ("225 KB", "us"))
FAR = 10
"""Times the least that is drawn whole: what costs a hundred times as much would leave nothing of the others to see."""
Rows = Mapping[str, Mapping[str, list[float] | str]]


def table(measured: Mapping[str, Any]) -> str:
    """The page."""
    subjects: Mapping[str, Rows] = measured["subjects"]
    lines = ["| | " + " | ".join(subjects) + " |", "|---" * (len(subjects) + 1) + "|"]
    for (row, what), title in TITLES.items():
        cells = [_cell(rows.get(row, {}), what) for rows in subjects.values()]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return HEAD.format(load=measured["load"], python=measured["python"]) + "\n".join(lines) + "\n"


def _cell(found: Mapping[str, list[float] | str], what: str) -> str:
    numbers = found.get(what, "")
    if isinstance(numbers, str):
        return str(found.get(FAILED, numbers))
    return f"{_short(statistics.median(numbers))} ({_short(min(numbers))}–{_short(max(numbers))})"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 1000 else f"{number:.3g}"


def draw(measured: Mapping[str, Any], path: Path) -> None:
    """Bars for each subject, a panel for each kind of cost."""
    import matplotlib as mpl  # only who draws needs it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lorikeet"
    from matplotlib import pyplot as plt

    subjects: Mapping[str, Rows] = measured["subjects"]
    figure, panels = plt.subplots(1, len(DRAWN), figsize=(13, 0.9 + 0.4 * len(subjects)), layout="constrained")
    for panel, key in zip(panels, DRAWN, strict=True):
        row, what = key
        bars = {name: rows[row][what] for name, rows in subjects.items() if what in rows.get(row, {})}
        values = [statistics.median(numbers) for numbers in bars.values() if not isinstance(numbers, str)]
        panel.barh(
            list(bars)[::-1],
            values[::-1],
            color=["#55a868" if name == "lorikeet" else "#4c72b0" for name in bars][::-1],
        )
        end = 1.3 * max(value for value in values if value <= FAR * min(values))
        panel.set_xlim(0, end)
        for place, value in enumerate(values[::-1]):
            beyond = value > end
            said, side = (f"{_short(value)} → ", "right") if beyond else (f" {_short(value)}", "left")
            color = "white" if beyond else "black"
            panel.annotate(said, (min(value, end), place), va="center", ha=side, color=color, fontsize=8)
        panel.set_title(TITLES[key], fontsize=9)
        panel.locator_params(axis="x", nbins=4)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
