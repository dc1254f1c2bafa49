"""A server's children: the Deployment of engine pods, what limits its disruptions, Service and Secret. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from lorikeet.api import keys, layout
from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.api.ref import API_VERSION, Ref
from lorikeet.api.wire import AGENT_PORT, ENGINE_PORT
from lorikeet.controller.podspec import Installation, pod_spec, seconds
from lorikeet.controller.seen import Server
from lorikeet.engine.flags import refused_arguments
from lorikeet.kube.resource import BUDGETS, DEPLOYMENTS, SECRETS, SERVICES, Resource

SERVER_LABEL = "lorikeet.dev/server"
FINGERPRINT = "lorikeet.dev/rendered"
"""Annotation: what we rendered, so that a pass can tell whether a child is as it shall be."""
MAX_RANK = "lorikeet.dev/max-rank"
"""Annotation of the Deployment and its pods: the rank their engines are started for."""
Body = dict[str, Any]


@dataclass(frozen=True)
class Child:
    """One object of a server's making."""

    resource: Resource
    ref: Ref
    body: Body
    fingerprint: str


def children(server: Server, installation: Installation) -> tuple[Child, ...]:
    """Everything the API server shall hold for `server`, the keys before the pods that mount them.

    With `maxRank: Auto` the server is one that `ranks.with_rank` made.
    """
    bodies = (
        (SECRETS, _secret(server, installation)),
        (SERVICES, _service(server)),
        (BUDGETS, _budget(server)),
        (DEPLOYMENTS, _deployment(server, installation)),
    )
    return tuple(_child(resource, body) for resource, body in bodies)


def spec_problem(spec: ModelServerSpec) -> str:
    """What the spec says that cannot be run, as a sentence; empty where it is fine."""
    refused = refused_arguments(spec.engine.extra_args)
    return f"spec.engine.extraArgs may not set {', '.join(refused)}: remove it" if refused else ""


def child_name(server: Ref) -> str:
    """The name of a server's Deployment, Service and pods."""
    return f"{server.name}-engine"


def labels(server: Ref) -> dict[str, str]:
    """The labels that select a server's pods."""
    return {"app.kubernetes.io/name": "lorikeet-engine", SERVER_LABEL: server.name}


def selector(server: Ref) -> str:
    """The same as text, for the scale subresource."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels(server).items()))


def _child(resource: Resource, body: Body) -> Child:
    fingerprint = _fingerprint(body)
    meta = body["metadata"]
    meta["annotations"] = {**meta.get("annotations", {}), FINGERPRINT: fingerprint}
    return Child(resource, Ref(meta["namespace"], meta["name"]), body, fingerprint)


def _fingerprint(body: Body) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]


def _meta(server: Server, name: str) -> Body:
    return {
        "namespace": server.ref.namespace,
        "name": name,
        "labels": {**labels(server.ref), "app.kubernetes.io/managed-by": "lorikeet"},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "ModelServer",
                "name": server.ref.name,
                "uid": server.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            }
        ],
    }


def _secret(server: Server, installation: Installation) -> Body:
    def key(purpose: keys.Purpose) -> str:
        return keys.derive(installation.root_key, purpose, server.ref, server.uid)

    return {
        "metadata": _meta(server, f"{server.ref.name}-lorikeet-keys"),
        "type": "Opaque",
        "stringData": {
            layout.AGENT_TOKEN: key(keys.Purpose.AGENT),
            layout.INFERENCE_KEY: key(keys.Purpose.INFERENCE),
        },
    }


def _service(server: Server) -> Body:
    return {
        "metadata": _meta(server, child_name(server.ref)),
        "spec": {
            "clusterIP": "None",
            "selector": labels(server.ref),
            "ports": [
                {"name": "http", "port": ENGINE_PORT, "targetPort": "http", "protocol": "TCP"},
                {"name": "agent", "port": AGENT_PORT, "targetPort": "agent", "protocol": "TCP"},
            ],
        },
    }


def _budget(server: Server) -> Body:
    """Nodes are drained one replica at a time, as the Deployment replaces them; a broken one holds up no drain."""
    return {
        "metadata": _meta(server, child_name(server.ref)),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": labels(server.ref)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def _deployment(server: Server, installation: Installation) -> Body:
    spec = server.spec
    return {
        "metadata": {**_meta(server, child_name(server.ref)), "annotations": {MAX_RANK: str(spec.lora.max_rank)}},
        "spec": {
            "replicas": spec.replicas,
            "selector": {"matchLabels": labels(server.ref)},
            "progressDeadlineSeconds": seconds(spec.startup.timeout) + 600,
            # GPUs are scarce: an update frees one before it asks for one.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}},
            "template": _template(server, installation),
        },
    }


def _template(server: Server, installation: Installation) -> Body:
    """Carries its own fingerprint, so that a pod shows which template it was made from."""
    template = server.spec.pod_template
    body: Body = {
        "metadata": {
            "labels": {**template.labels, **labels(server.ref)},
            "annotations": {
                **template.annotations,
                "kubectl.kubernetes.io/default-container": "engine",
                MAX_RANK: str(server.spec.lora.max_rank),
            },
        },
        "spec": pod_spec(server, installation),
    }
    body["metadata"]["annotations"][FINGERPRINT] = _fingerprint(body)
    return body
