"""From a Pod as Kubernetes shows it to a Replica. Pure."""

from __future__ import annotations

from typing import Any

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import Ref
from lorikeet.controller.workload import child_name

Body = dict[str, Any]
IMAGE_TROUBLE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def is_ours(pod: Body, server: Ref) -> bool:
    """Whether the pod was made by the server's own Deployment: labels alone can be anybody's."""
    owners = pod["metadata"].get("ownerReferences", ())
    return any(
        owner["kind"] == "ReplicaSet" and owner.get("controller") and owner["name"].startswith(child_name(server) + "-")
        for owner in owners
    )


def is_over(pod: Body) -> bool:
    """Whether the pod has ended or is being deleted, so that nothing shall be asked of it."""
    return pod["status"].get("phase") in ("Succeeded", "Failed") or "deletionTimestamp" in pod["metadata"]


def is_ready(pod: Body) -> bool:
    """Whether the kubelet finds the pod ready."""
    return any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", ())
    )


def problem_of(pod: Body) -> Problem | None:
    """Why the pod does not run, in a sentence, where Kubernetes knows."""
    return _unscheduled(pod) or _waiting(pod)


def _unscheduled(pod: Body) -> Problem | None:
    name = pod["metadata"]["name"]
    for condition in pod["status"].get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Problem(
                reason=Reason.UNSCHEDULABLE,
                message=f"pod {name} finds no node: {condition.get('message', 'no reason given')}",
            )
    return None


def _waiting(pod: Body) -> Problem | None:
    name, status = pod["metadata"]["name"], pod["status"]
    for container in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = container.get("state", {}).get("waiting")
        if waiting is None:
            continue
        where = f"container {container['name']} of pod {name}"
        if waiting.get("reason") in IMAGE_TROUBLE:
            text = f"{where} cannot get its image {container.get('image', '')}: {waiting.get('message', '')}"
            return Problem(reason=Reason.IMAGE_UNAVAILABLE, message=text)
        if waiting.get("reason") == "CrashLoopBackOff":
            return Problem(reason=Reason.CRASHING, message=_crash(container, where, name))
    return None


def _crash(container: Body, where: str, pod: str) -> str:
    ended = container.get("lastState", {}).get("terminated", {})
    why = ended.get("reason", "Error")
    return (
        f"{where} keeps ending ({why}, exit code {ended.get('exitCode', '?')}): "
        f"see kubectl logs {pod} -c {container['name']} --previous"
    )
