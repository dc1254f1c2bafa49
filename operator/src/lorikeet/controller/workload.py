"""A server's children: the Deployment of engine pods, their headless Service, the Secret of their keys. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorikeet.api import keys, layout
from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.api.names import default_model_name
from lorikeet.api.ref import API_VERSION, Ref
from lorikeet.api.wire import AGENT_PORT, ENGINE_PORT
from lorikeet.controller.seen import Server
from lorikeet.engine.flags import engine_command, refused_arguments
from lorikeet.kube.resource import DEPLOYMENTS, SECRETS, SERVICES, Resource

SERVER_LABEL = "lorikeet.dev/server"
FINGERPRINT = "lorikeet.dev/rendered"
"""Annotation: what we rendered, so that a pass can tell whether a child is as it shall be."""
USER = 65532
DRAIN_SECONDS = 5
"""A stopping engine keeps answering this long, for gateways whose table is a moment old."""

Body = dict[str, Any]


@dataclass(frozen=True)
class Installation:
    """What this installation says about every engine pod."""

    agent_image: str
    engine_images: Mapping[str, str]
    """Profile → image."""
    root_key: bytes
    hub_endpoint: str = ""
    pull_policy: str = "IfNotPresent"


@dataclass(frozen=True)
class Child:
    """One object of a server's making."""

    resource: Resource
    ref: Ref
    body: Body
    fingerprint: str


def children(server: Server, installation: Installation) -> tuple[Child, ...]:
    """Everything the API server shall hold for `server`, the keys before the pods that mount them."""
    bodies = (
        (SECRETS, _secret(server, installation)),
        (SERVICES, _service(server)),
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


def model_name(spec: ModelServerSpec) -> str:
    """The base model's public name."""
    return spec.model.name or default_model_name(spec.model.uri)


def seconds(duration: str) -> int:
    """1h20m5s → 4805."""
    found = re.findall(r"(\d+)([hms])", duration)
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in found)


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


def _deployment(server: Server, installation: Installation) -> Body:
    spec = server.spec
    return {
        "metadata": _meta(server, child_name(server.ref)),
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
            "annotations": {**template.annotations, "kubectl.kubernetes.io/default-container": "engine"},
        },
        "spec": _pod(server, installation),
    }
    body["metadata"]["annotations"][FINGERPRINT] = _fingerprint(body)
    return body


def _pod(server: Server, installation: Installation) -> Body:
    template = server.spec.pod_template
    chosen: Body = {
        "nodeSelector": template.node_selector,
        "tolerations": list(template.tolerations),
        "affinity": template.affinity,
        "priorityClassName": template.priority_class_name,
        "runtimeClassName": template.runtime_class_name,
        "imagePullSecrets": [secret.dump() for secret in template.image_pull_secrets],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 60,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "initContainers": [_agent(server, installation)],
        "containers": [_engine(server, installation)],
        "volumes": _volumes(server),
        **{key: value for key, value in chosen.items() if value},
    }


def _agent(server: Server, installation: Installation) -> Body:
    """A native sidecar: it is up before the engine, whose start waits for its startup probe, and ends after it."""
    spec = server.spec
    env = {
        "LORIKEET_SERVER": server.ref.name,
        "LORIKEET_NAMESPACE": server.ref.namespace,
        "LORIKEET_MODEL_URI": spec.model.uri,
        "LORIKEET_MODEL_NAME": model_name(spec),
        "LORIKEET_MAX_RANK": str(spec.lora.max_rank),
        **({"LORIKEET_HUB_ENDPOINT": installation.hub_endpoint} if installation.hub_endpoint else {}),
    }
    return {
        "name": "agent",
        "image": installation.agent_image,
        "imagePullPolicy": installation.pull_policy,
        "command": ["lorikeet-agent"],
        "restartPolicy": "Always",
        "env": [
            {"name": "LORIKEET_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            *({"name": name, "value": value} for name, value in sorted(env.items())),
        ],
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "1Gi"}},
        # The base model may be many gigabytes; the engine waits for it here.
        "startupProbe": _probe("/startupz", AGENT_PORT, period=1, failures=seconds(spec.startup.timeout)),
        "readinessProbe": _probe("/readyz", AGENT_PORT, period=2, failures=2),
        "livenessProbe": _probe("/healthz", AGENT_PORT, period=10, failures=6),
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "adapters", "mountPath": layout.ADAPTERS},
            {"name": "guard", "mountPath": layout.GUARD},
            {"name": "models", "mountPath": layout.MODELS},
            {"name": "keys", "mountPath": layout.SERVER_KEYS, "readOnly": True},
            {"name": "sources", "mountPath": layout.SOURCES, "readOnly": True},
            {"name": "agent-tmp", "mountPath": layout.TMP},
        ],
    }


def _engine(server: Server, installation: Installation) -> Body:
    spec = server.spec
    command = engine_command(spec, layout.model_path(spec.model.uri), model_name(spec), layout.GUARD)
    env = {**command.env, "HOME": layout.TMP, "VLLM_CACHE_ROOT": f"{layout.TMP}/vllm"}
    resources: Body = {"cpu": spec.resources.cpu, "memory": spec.resources.memory}
    gpus = {"nvidia.com/gpu": str(spec.resources.gpus)} if spec.resources.gpus else {}
    return {
        "name": "engine",
        "image": spec.engine.image or installation.engine_images[spec.engine.profile],
        "imagePullPolicy": installation.pull_policy,
        "command": list(command.argv),
        "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
        "ports": [{"name": "http", "containerPort": ENGINE_PORT, "protocol": "TCP"}],
        "resources": {"requests": {**resources, **gpus}, "limits": {"memory": spec.resources.memory, **gpus}},
        "startupProbe": _probe("/health", ENGINE_PORT, period=1, failures=seconds(spec.startup.timeout)),
        "readinessProbe": _probe("/health", ENGINE_PORT, period=2, failures=2),
        # Slow answers are what a busy engine gives; only one that is silent for minutes is restarted.
        "livenessProbe": _probe("/health", ENGINE_PORT, period=20, failures=9, timeout=15),
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_SECONDS}}},
        "securityContext": _locked(),
        "volumeMounts": [
            {"name": "adapters", "mountPath": layout.ADAPTERS, "readOnly": True},
            {"name": "guard", "mountPath": layout.GUARD, "readOnly": True},
            {"name": "models", "mountPath": layout.MODELS, "readOnly": True},
            {"name": "engine-tmp", "mountPath": layout.TMP},
            {"name": "shm", "mountPath": layout.SHM},
        ],
    }


def _probe(path: str, port: int, period: int, failures: int, timeout: int = 5) -> Body:
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": max(failures, 1),
    }


def _locked() -> Body:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def _volumes(server: Server) -> list[Body]:
    spec = server.spec
    sources = spec.sources.secret_ref
    empty = {"secretName": sources.name, "optional": True} if sources else None
    return [
        {"name": "adapters", "emptyDir": {"sizeLimit": spec.storage.adapters}},
        {"name": "models", "emptyDir": {"sizeLimit": spec.storage.model}},
        {"name": "guard", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"name": "keys", "secret": {"secretName": f"{server.ref.name}-lorikeet-keys", "defaultMode": 0o440}},
        {"name": "sources", "secret": {**empty, "defaultMode": 0o440}}
        if empty
        else {"name": "sources", "emptyDir": {}},
        {"name": "agent-tmp", "emptyDir": {}},
        {"name": "engine-tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}},
    ]
