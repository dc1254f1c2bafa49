"""The rows of the table: what each measures is said where it is measured. Times are in milliseconds or seconds, and
count from the API server's answer to the user, unless a row says otherwise."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

from lorikeet.kube.resource import EVENTS
from lorikeet.testing.bench.meter import writes
from lorikeet.testing.bench.stage import Stage, eventually

MANY, REPEATS, REST = 100, 9, 60.0
Row = dict[str, Any]


async def one_adapter(stage: Stage, repeats: int = REPEATS) -> Row:
    """a: one adapter on an idle server: fetched from the hub, and with its bytes there already."""
    fetched, there = [], []
    holders = stage.publish(repeats, "held")
    for number, uri in enumerate(holders):
        fetched.append(await _one(stage, f"one-{number}", uri))
        there.append(await _one(stage, f"two-{number}", uri))
    await stage.clear()
    return {"with a download": _medians(fetched), "bytes there": _medians(there)}


async def _one(stage: Stage, name: str, uri: str) -> Row:
    await stage.quiet()
    await stage.reports()
    began = await stage.create(name, uri)
    await stage.notes.until(lambda: stage.notes.is_ready(name), f"{name} is Ready")
    ready = stage.notes.last(name)
    assert ready
    loads = loaded(await stage.reports(), name)
    await asyncio.sleep(2.0)
    return {
        "first load ms": 1000 * (min(loads) - began),
        "all loads ms": 1000 * (max(loads) - began),
        "ready ms": 1000 * (ready.at - began),
        "api writes": writes(stage.audit.calls()),
    }


async def many_adapters(stage: Stage, count: int = MANY) -> Row:
    """b: a hundred at once, from the first request: fetched from the hub, and with their bytes there already.

    The hundred that are fetched stay: the rows of rest and of a lost engine go on with them.
    """
    uris = stage.publish(count)
    cold = await _many(stage, "ad", uris)
    warm = await _many(stage, "twin", uris)
    twins = [f"twin-{number}" for number in range(count)]
    await stage.delete(*twins)
    await eventually(lambda: _clean(stage, *twins))
    await stage.quiet()
    return {"with a download": cold, "bytes there": warm}


async def _many(stage: Stage, prefix: str, uris: list[str]) -> Row:
    await stage.quiet()
    before, calls, began = stage.spent(), sums(await stage.reports()), time.monotonic()
    await asyncio.gather(*(stage.create(f"{prefix}-{number}", uri) for number, uri in enumerate(uris)))
    created = time.monotonic()
    names = [f"{prefix}-{number}" for number in range(len(uris))]
    await stage.notes.until(lambda: all(map(stage.notes.is_ready, names)), "all are Ready")
    ready = max(told.at for name in names if (told := stage.notes.last(name)))
    reports, after = await stage.reports(), stage.spent()
    loads = [at for report in reports.values() for at, verb, name in report["did"] if verb == "load"]
    assert len(loads) == len(uris) * len(stage.replicas)
    made = sums(reports) - calls
    await asyncio.sleep(2.0)
    return {
        "created s": created - began,
        "all loads s": max(loads) - began,
        "all ready s": ready - began,
        "floor s": len(uris) * 0.03,
        "api writes": writes(stage.audit.calls()),
        "engine lists": made["GET /v1/models"],
        "engine looks": made["GET /-/boot"] + made["GET /health"] + made["GET /metrics"],
        "loads asked": made["POST /v1/load_lora_adapter"],
        "polls": made["operator: state"],
        "pushes": made["operator: want"],
        "operator cpu s": after.cpu - before.cpu,
    }


async def rest(stage: Stage, seconds: float = REST) -> Row:
    """c: all adapters at rest."""
    await stage.quiet()
    before, calls = stage.spent(), sums(await stage.reports())
    stage.audit.skip()
    await asyncio.sleep(seconds)
    after, made = stage.spent(), sums(await stage.reports()) - calls
    asked = stage.audit.calls()
    return {
        "seconds": seconds,
        "api writes": writes(asked),
        "api calls": dict(asked),
        "polls": made["operator: state"],
        "pushes": made["operator: want"],
        "engine lists": made["GET /v1/models"],
        "engine loads and unloads": made["POST /v1/load_lora_adapter"] + made["POST /v1/unload_lora_adapter"],
        "engine looks": made["GET /-/boot"] + made["GET /health"] + made["GET /metrics"],
        "operator cpu s": after.cpu - before.cpu,
        "operator memory MB": after.memory / 1e6,
    }


async def forgetful_engine(stage: Stage, count: int = MANY) -> Row:
    """d: one engine starts anew in place and has forgotten its adapters; what the others list stays."""
    await stage.quiet()
    await stage.reports()
    names = [f"ad-{number}" for number in range(count)]
    marks = {name: len(stage.notes.told[name]) for name in names}
    began = (await stage.replicas["a"].ask("forget"))["at"]

    def unready(name: str) -> list[float]:
        return [told.at for told in stage.notes.told[name][marks[name] :] if not told.ready]

    def everywhere(name: str) -> bool:
        told = stage.notes.last(name)
        return told is not None and told.ready and told.status.ready_replicas == len(stage.replicas)

    # One that is back before its turn to be told of is never denied. And Ready alone is no sign: once the replica has
    # left the endpoints, all that take requests have it.
    await stage.notes.until(lambda: any(map(unready, names)), "some are said not to be Ready")
    await stage.notes.until(lambda: all(map(everywhere, names)), "all are Ready on every replica again")
    denied = max(min(times) for name in names if (times := unready(name)))
    ready = max(told.at for name in names if (told := stage.notes.last(name)))
    loads = [at for at, verb, _ in (await stage.reports())["a"]["did"] if verb == "load"]
    assert len(loads) == count
    await asyncio.sleep(2.0)
    return {
        "first back s": min(loads) - began,
        "all back s": max(loads) - began,
        "none is called Ready after s": denied - began,
        "all ready s": ready - began,
        "loads": len(loads),
        "api writes": writes(stage.audit.calls()),
    }


async def changed_source(stage: Stage) -> Row:
    """e: another source for an adapter that serves. The hole: how long, on the worst replica, no version was there."""
    old, new = stage.publish(2, "version")
    await stage.create("changing", old)
    await stage.notes.until(lambda: stage.notes.is_ready("changing"), "the old version is Ready")
    await stage.quiet()
    await stage.reports()
    began = await stage.change_source("changing", new)
    told = stage.notes.last("changing")
    assert told
    name = told.status.engine_name

    def moved() -> bool:
        last = stage.notes.last("changing")
        return last is not None and last.ready and last.status.engine_name != name

    await stage.notes.until(moved, "the new version is Ready")
    ready = stage.notes.last("changing")
    assert ready
    reports = await stage.reports()
    loads = loaded(reports, "changing")
    gone = [
        at for report in reports.values() for at, verb, which in report["did"] if verb == "unload" and which == name
    ]
    await stage.delete("changing")
    return {
        "everywhere ms": 1000 * (max(loads) - began),
        "ready ms": 1000 * (ready.at - began),
        "hole ms": max([1000 * (max(loads) - at) for at in gone] + [0.0]),
        "old version registered after the flip": not gone,
    }


async def hanging_load(stage: Stage, after: int = 8) -> Row:
    """f: one replica never answers a load. What of the adapters applied next, and of deletions?"""
    uris = stage.publish(after + 1, "hang")
    await stage.quiet()
    await stage.reports()
    await stage.replicas["a"].ask("hang-load", adapter="hung")
    await stage.create("hung", uris[0])
    await eventually(lambda: _asked(stage, "hung"))
    began = time.monotonic()
    names = [f"after-{number}" for number in range(after)]
    await asyncio.gather(*(stage.create(name, uri) for name, uri in zip(names, uris[1:], strict=True)))
    seen: dict[str, dict[str, float]] = {}
    while not all(len(seen.get(name, {})) == len(stage.replicas) for name in names):
        for pod, report in (await stage.reports()).items():
            for at, verb, engine_name in report["did"]:
                if verb == "load":
                    seen.setdefault(engine_name.split("@")[0], {})[pod] = at
        await asyncio.sleep(0.1)
    others = [at for name in names for pod, at in seen[name].items() if pod != "a"]
    on_it = [at for name in names for pod, at in seen[name].items() if pod == "a"]
    told = stage.notes.last("hung")
    deleted = await stage.delete("hung", names[0])
    await stage.notes.until(lambda: {"hung", names[0]} <= stage.notes.gone.keys(), "both objects are gone")
    gone = max(stage.notes.gone["hung"], stage.notes.gone[names[0]])
    await stage.replicas["a"].ask("mend")
    await eventually(lambda: _clean(stage, "hung", names[0]))
    clean = time.monotonic()
    await stage.delete(*names[1:])
    return {
        "others: all loads s": max(others) - began,
        "on the one with the hung load: all loads s": max(on_it) - began,
        "hung is called": told.reason if told else "",
        "objects gone s": gone - deleted,
        "engines clean after the release s": clean - deleted,
    }


async def refused_unload(stage: Stage) -> Row:
    """g: one engine answers 500 to unloads while its adapter is deleted."""
    (uri,) = stage.publish(1, "refuse")
    await stage.create("refused", uri)
    await stage.notes.until(lambda: stage.notes.is_ready("refused"), "it is Ready")
    await stage.replicas["a"].ask("refuse-unload")
    began = await stage.delete("refused")
    await stage.notes.until(lambda: "refused" in stage.notes.gone, "the object is gone")
    gone = stage.notes.gone["refused"] - began
    for _ in range(60):
        events = await stage.kube.list(EVENTS, stage.server.namespace)
        named = [event["note"] for event in events["items"] if "refused" in event.get("note", "")]
        if any("unload" in note for note in named):
            break
        await asyncio.sleep(0.5)
    mended = (await stage.replicas["a"].ask("mend"))["at"]
    await eventually(lambda: _clean(stage, "refused"))
    return {
        "object gone s": gone,
        "events that name it": named,
        "engine clean after it answers s": time.monotonic() - mended,
    }


async def names(stage: Stage) -> Row:
    """h: two objects and one served name; the base model's name."""
    uris = stage.publish(3, "name")
    await stage.create("older", uris[0], name="shared")
    await stage.notes.until(lambda: stage.notes.is_ready("older"), "the older is Ready")
    await asyncio.sleep(1.1)  # creation times are whole seconds
    await stage.create("younger", uris[1], name="shared")
    await stage.create("base-named", uris[2], name="base")

    def refused(name: str) -> bool:
        told = stage.notes.last(name)
        return told is not None and told.reason.startswith("Name")

    await stage.notes.until(lambda: refused("younger") and refused("base-named"), "both are refused")
    await stage.reports()
    younger, base = stage.notes.last("younger"), stage.notes.last("base-named")
    assert younger
    assert base
    await stage.delete("younger", "base-named")
    await stage.quiet()
    touched = [verb for report in (await stage.reports()).values() for _, verb, name in report["did"]]
    row = {
        "younger": younger.reason,
        "base": base.reason,
        "older ready": stage.notes.is_ready("older"),
        "calls": touched,
    }
    await stage.delete("older")
    return row


def loaded(reports: Mapping[str, Any], adapter: str) -> list[float]:
    """When each replica had a version of `adapter`."""
    return [
        at
        for report in reports.values()
        for at, verb, name in report["did"]
        if verb == "load" and name.split("@")[0] == adapter
    ]


def sums(reports: Mapping[str, Any]) -> Counter[str]:
    """Calls of all replicas together, since they began."""
    total: Counter[str] = Counter()
    for report in reports.values():
        total.update(report["calls"])
    return total


async def _asked(stage: Stage, adapter: str) -> bool:
    reports = await stage.reports()
    return any(name.startswith(f"{adapter}@") for report in reports.values() for _, _, name in report["did"])


async def _clean(stage: Stage, *adapters: str) -> bool:
    lists = [name for report in (await stage.reports()).values() for name in report["lists"]]
    return not any(name.split("@")[0] in adapters for name in lists)


def _medians(rows: Iterable[Row]) -> Row:
    found = list(rows)
    return {key: round(median(row[key] for row in found), 1) for key in found[0]}
