"""What a Pod says of itself, as far as the operator listens."""

from __future__ import annotations

from typing import Any

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.api.ref import Ref
from lorikeet.controller.pods import is_ours, is_over, is_ready, problem_of
from lorikeet.testing import builders as b

Body = dict[str, Any]


def pod(**status: Any) -> Body:
    return {**b.pod_body(b.SERVER, "a"), "status": {**b.ready_status("10.0.0.1"), **status}}


def waiting(reason: str, where: str = "containerStatuses", **more: Any) -> Body:
    state = {"waiting": {"reason": reason, "message": "as the kubelet says"}}
    return pod(**{where: [{"name": "engine", "image": "engine:1", "state": state, **more}]})


def test_one_of_our_deployment_is_ours() -> None:
    assert is_ours(pod(), b.SERVER)


@pytest.mark.parametrize(
    "owner",
    [
        None,
        {"kind": "ReplicaSet", "name": "qwen-engine-1", "controller": False},
        {"kind": "ReplicaSet", "name": "qwen-engine-1"},
        {"kind": "ReplicaSet", "name": "other-engine-1", "controller": True},
        {"kind": "ReplicaSet", "name": "qwen-engine", "controller": True},
        {"kind": "StatefulSet", "name": "qwen-engine-1", "controller": True},
    ],
)
def test_one_with_our_labels_alone_is_not(owner: Body | None) -> None:
    found = pod()
    found["metadata"]["ownerReferences"] = [owner] if owner else []
    assert not is_ours(found, b.SERVER)


def test_nor_is_that_of_a_server_whose_name_begins_like_ours() -> None:
    assert not is_ours(b.pod_body(Ref(b.NAMESPACE, "qwen-2"), "a"), b.SERVER)


@pytest.mark.parametrize(
    ("phase", "over"), [("Pending", False), ("Running", False), ("Succeeded", True), ("Failed", True)]
)
def test_one_that_has_ended_is_over(phase: str, over: bool) -> None:
    assert is_over(pod(phase=phase)) is over


def test_one_that_is_being_deleted_is_over() -> None:
    found = pod()
    found["metadata"]["deletionTimestamp"] = b.NOW
    assert is_over(found)


def test_ready_is_what_the_kubelet_says() -> None:
    assert is_ready(pod())
    assert not is_ready(pod(**b.ready_status("10.0.0.1", ready=False)))
    assert not is_ready(pod(conditions=[]))


def test_a_pod_that_runs_has_no_problem() -> None:
    assert problem_of(pod(containerStatuses=[{"name": "engine", "state": {"running": {}}}])) is None


def test_a_pod_without_a_node_says_what_the_scheduler_says() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes: Insufficient nvidia.com/gpu"}
    found = problem_of(pod(conditions=[condition]))
    assert found
    assert (found.reason, found.message) == (
        Reason.UNSCHEDULABLE,
        "pod a finds no node: 0/3 nodes: Insufficient nvidia.com/gpu",
    )


@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
def test_a_missing_image_is_named(where: str) -> None:
    found = problem_of(waiting("ImagePullBackOff", where))
    assert found
    assert found.reason is Reason.IMAGE_UNAVAILABLE
    assert "engine:1" in found.message


def test_one_that_crashes_says_how_it_ended_and_where_to_look() -> None:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    found = problem_of(waiting("CrashLoopBackOff", lastState=ended))
    assert found
    assert found.reason is Reason.CRASHING
    assert "(OOMKilled, exit code 137)" in found.message
    assert "kubectl logs a -c engine --previous" in found.message


def test_one_that_is_being_made_has_no_problem_yet() -> None:
    assert problem_of(waiting("ContainerCreating")) is None
