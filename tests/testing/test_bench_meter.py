"""What the benchmark reads of others' logs."""

from __future__ import annotations

import json
from pathlib import Path

from lorikeet.testing.bench.meter import Audit


def line(verb: str, stage: str = "ResponseComplete", user: str = "operator") -> bytes:
    about = {"resource": "loraadapters", "subresource": "status"}
    event = {"stage": stage, "verb": verb, "requestURI": "/apis", "user": {"username": user}, "objectRef": about}
    return json.dumps(event).encode() + b"\n"


def test_calls_are_counted_once_each_by_one_user(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.write_bytes(line("patch") + line("patch", "RequestReceived") + line("patch", user="somebody"))
    audit = Audit(log, "operator")
    assert audit.calls() == {"patch loraadapters/status": 1}
    assert audit.calls() == {}


def test_a_line_of_which_half_is_written_waits_for_the_rest_also_where_one_begins_to_count(tmp_path: Path) -> None:
    log, said = tmp_path / "audit.log", line("patch")
    log.write_bytes(line("get") + said[:20])
    audit = Audit(log, "operator")
    audit.skip()
    assert audit.calls() == {}
    log.write_bytes(line("get") + said)
    assert audit.calls() == {"patch loraadapters/status": 1}
