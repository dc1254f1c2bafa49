"""What an answer means for what to do next."""

from __future__ import annotations

import json

import pytest

from lorikeet.kube.errors import Conflict, Expired, KubeError, NotFound, Refused, Unreachable, from_status


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (409, Conflict),
        (410, Expired),
        (422, Refused),
        (429, Unreachable),
        (500, Unreachable),
        (503, Unreachable),
        (504, Unreachable),
    ],
)
def test_a_status_says_what_to_do_next(status: int, kind: type[KubeError]) -> None:
    assert type(from_status(status, "", "GET /x")) is kind


def test_the_message_names_the_call_and_what_the_server_said() -> None:
    text = json.dumps({"kind": "Status", "message": "pods is forbidden"})
    assert str(from_status(403, text, "GET /api/v1/pods")) == "GET /api/v1/pods: 403 pods is forbidden"


@pytest.mark.parametrize("text", ["<html>bad gateway", "[1]", "{}", "null", '{"message": 7}', ""])
def test_whatever_else_the_body_is_it_is_told_as_far_as_it_goes(text: str) -> None:
    assert str(from_status(502, text, "GET /x")).startswith("GET /x: 502")


def test_a_long_page_is_cut() -> None:
    assert len(str(from_status(502, "x" * 10_000, "GET /x"))) < 400
