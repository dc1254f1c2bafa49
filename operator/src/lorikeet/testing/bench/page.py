"""From operator.json to what people look at: a table in Markdown and a plot of what was measured, beside its floor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

HEAD = """# The operator, measured

`make bench-operator`, on {machine}. The real etcd and kube-apiserver with an audit log,
the operator as a process, four replicas: real agents, and engine simulators whose loads take 30 ms, one at a time, as
vLLM's do. Everything runs on the same cores. Times count from the API server's answer to the user. Rows i and j have
scripted agents that hold at once what they are told.

In row b each load is asked for once the one before it has ended, so that an engine makes tokens in between: a hundred
take their 3 s, and 3 to 5 ms more for each. Bars are what other operators' figures and these floors let one hope for.

Raw numbers: [operator.json](operator.json).

![How long until all replicas have it](operator.svg)

| what | measured | floor or bar |
|---|---|---|
"""
Row = tuple[str, str, str]
"""What, measured, and what it is held against."""
FLOOR_LOAD = 0.03
"""Seconds of one load."""
A_BARS = {"bytes there": "30 / ≤ 60 / ≤ 90 ms"}
B_BARS = {"bytes there": "; ≤ 3.3 / – s"}


def table(found: Mapping[str, Any]) -> str:
    """The page for what was measured."""
    rows = [
        row for letter, rows_of in ROWS.items() if letter in found["rows"] for row in rows_of(found["rows"][letter])
    ]
    lines = "".join(f"| {what} | {measured} | {bar} |\n" for what, measured, bar in rows)
    return HEAD.format(machine=_machine(found["machine"])) + lines


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Bars: seconds until loaded everywhere, and until told, beside the time that the loads alone take."""
    import matplotlib as mpl  # only who draws needs it

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lorikeet"
    from matplotlib import pyplot as plt

    bars = [bar for bar in _bars(found["rows"]) if bar]
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.75 * len(bars)), layout="constrained")
    for number, (_, floor, loaded, ready) in enumerate(reversed(bars)):
        axes.barh(number + 0.25, ready, 0.25, color="#4c72b0", label="status says Ready" if number == 0 else None)
        axes.barh(number, loaded, 0.25, color="#55a868", label="loaded everywhere" if number == 0 else None)
        axes.barh(number - 0.25, floor, 0.25, color="#bbbbbb", label="the loads alone" if number == 0 else None)
        for offset, value in ((0.25, ready), (0.0, loaded), (-0.25, floor)):
            axes.annotate(f" {value:.3g} s", (value, number + offset), va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [what for what, *_ in reversed(bars)])
    axes.set_xlabel("seconds, log scale")
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.legend(fontsize=8, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _bars(rows: Mapping[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    for letter, of, count in (("a", "one adapter", 1), ("b", "100 adapters at once", 100)):
        for how in ("with a download", "bytes there") if letter in rows else ():
            row = rows[letter][how]
            loaded, ready = (
                (row["all loads s"], row["all ready s"])
                if "all loads s" in row
                else (row["all loads ms"] / 1000, row["ready ms"] / 1000)
            )
            yield f"{of},\n{how}", count * FLOOR_LOAD, loaded, ready
    if "d" in rows:
        yield "an engine forgot\n100 adapters", 100 * FLOOR_LOAD, rows["d"]["all back s"], rows["d"]["all ready s"]


def _machine(found: Mapping[str, Any]) -> str:
    return f"{found['cores']} cores with {found['memory GB']} GB, load {found['load']:.1f} before it began"


def _a(row: Mapping[str, Any]) -> Iterator[Row]:
    for how, of in row.items():
        times = f"{of['first load ms']:.0f} / {of['all loads ms']:.0f} / {of['ready ms']:.0f} ms"
        yield f"a. one adapter, {how}: first load / all 4 / Ready", times, A_BARS.get(how, "30 ms is the load")
        yield "a. API writes", f"{of['api writes']:.0f}", "≤ 2"


def _b(row: Mapping[str, Any]) -> Iterator[Row]:
    for how, of in row.items():
        times, bar = f"{of['all loads s']:.1f} / {of['all ready s']:.1f} s", f"{of['floor s']:.1f} s are the loads"
        yield f"b. 100 at once, {how}: all loaded on 4 / all Ready", times, bar + B_BARS.get(how, "")
        cost = f"{of['api writes']}; {of['engine lists']}; {of['pushes']}; {of['operator cpu s']:.1f} s"
        yield "b. API writes; engine lists; pushes; operator CPU", cost, "≤ 200; ≤ 40; –; ≤ 1.5 s"


def _c(row: Mapping[str, Any]) -> Iterator[Row]:
    cost = f"{row['api writes']}; {row['polls']}; {row['operator cpu s']:.2f} s; {row['operator memory MB']:.0f} MB"
    yield (
        f"c. 100 adapters at rest, {row['seconds']:.0f} s: API writes; polls; CPU; memory",
        cost,
        "0; ≤ 24; ≤ 0.6 s; –",
    )
    asked = f"{row['engine lists']}; {row['engine loads and unloads']}"
    yield "c. engines meanwhile: lists; loads and unloads", asked, "–; 0"


def _d(row: Mapping[str, Any]) -> Iterator[Row]:
    times = f"{row['first back s']:.2f} / {row['all back s']:.1f} s"
    yield "d. an engine forgot 100 adapters: first / all back", times, "≤ 0.5 / ≤ 3.5 s"
    yield "d. none of them is called Ready any more after", f"{row['none is called Ready after s']:.2f} s", "≤ 1 s"


def _e(row: Mapping[str, Any]) -> Iterator[Row]:
    times = f"{row['everywhere ms']:.0f} / {row['ready ms']:.0f} ms; {row['hole ms']:.0f} ms"
    yield "e. another source: everywhere / Ready; time without any version", times, "–; 0 ms"


def _f(row: Mapping[str, Any]) -> Iterator[Row]:
    others = f"{row['others: all loads s']:.2f} s; {row['on the one with the hung load: all loads s']:.1f} s"
    yield "f. one replica hangs on a load, 8 more are applied: on the others; on that one", others, "≤ 1 s; –"
    yield "f. the hung and a healthy adapter deleted: objects gone", f"{row['objects gone s']:.2f} s", "≤ 5 s"


def _g(row: Mapping[str, Any]) -> Iterator[Row]:
    said = f"{row['object gone s']:.2f} s; {len(row['events that name it'])}"
    yield "g. an engine answers 500 to unloads: object gone; Events that say so", said, "≤ 5 s; ≥ 1"
    clean = f"{row['engine clean after it answers s']:.1f} s"
    yield "g. engine clean, once it answers again, after", clean, "–"


def _h(row: Mapping[str, Any]) -> Iterator[Row]:
    said = f"{row['younger']}; {row['base']}; {row['older ready']}; {len(row['calls'])}"
    yield (
        "h. the younger of two; one named like the base model; the older stays Ready; calls to engines",
        said,
        "–; –; True; 0",
    )


def _scale(letter: str, row: Mapping[str, Any]) -> Iterator[Row]:
    size = f"{letter}. {row['adapters']:,} adapters, {row['replicas']} replicas"
    times = f"{row['created s']:.0f} / {row['all ready s']:.0f} s"
    yield f"{size}: created / all Ready", times, f"{row['loads']:,} loads"
    cost = f"{row['api writes']:,}; {row['operator cpu s']:.0f} s; {row['operator memory MB']:.0f} MB"
    yield f"{letter}. API writes; operator CPU; memory", cost, "–"
    rest = row["at rest"]
    quiet = f"{rest['api writes']}; {rest['polls']}; {rest['operator cpu s']:.2f} s"
    yield f"{letter}. at rest, {rest['seconds']:.0f} s: API writes; polls; CPU", quiet, "0; –; –"
    new = row["a new operator"]
    took = f"{new['one more on each server is ready after s']:.0f} s; {new['operator cpu s']:.0f} s"
    took += f"; {new['operator memory MB']:.0f} MB"
    yield f"{letter}. a new operator has one more on each server Ready after; CPU; memory", took, "–"


ROWS: dict[str, Callable[[Mapping[str, Any]], Iterator[Row]]] = {
    "a": _a,
    "b": _b,
    "c": _c,
    "d": _d,
    "e": _e,
    "f": _f,
    "g": _g,
    "h": _h,
    "i": partial(_scale, "i"),
    "j": partial(_scale, "j"),
}
