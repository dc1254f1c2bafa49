"""One engine pod: what runs in it, locked how, with which volumes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorikeet.api import layout
from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.api.names import default_model_name
from lorikeet.api.wire import AGENT_PORT, ENGINE_PORT
from lorikeet.controller.seen import Server
from lorikeet.engine.flags import engine_command

USER = 65532
DRAIN_SECONDS = 5
"""A stopping engine keeps answering this long, for gateways whose table is a moment old."""
HUNG_GRACE_SECONDS = 10

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


def pod_spec(server: Server, installation: Installation) -> Body:
    """The pod template's spec: the agent as a native sidecar, the engine, and the volumes they share."""
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


def model_name(spec: ModelServerSpec) -> str:
    """The base model's public name."""
    return spec.model.name or default_model_name(spec.model.uri)


def seconds(duration: str) -> int:
    """1h20m5s → 4805."""
    found = re.findall(r"(\d+)([hms])", duration)
    return sum(int(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in found)


def _agent(server: Server, installation: Installation) -> Body:
    """A native sidecar: it is up before the engine, whose start waits for its startup probe, and ends after it."""
    spec = server.spec
    env = {
        "LORIKEET_SERVER": server.ref.name,
        "LORIKEET_NAMESPACE": server.ref.namespace,
        "LORIKEET_MODEL_URI": spec.model.uri,
        "LORIKEET_MODEL_NAME": model_name(spec),
        "LORIKEET_MAX_RANK": str(spec.lora.max_rank),
        "LORIKEET_MAX_CPU_LORAS": str(spec.lora.max_cpu_loras),
        "LORIKEET_ADAPTERS_LIMIT": spec.storage.adapters,
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
        # Slow answers are what a busy engine gives: only one that is silent for three minutes is restarted. One that
        # hangs says so itself, by its agent's verdict, and is restarted within half a minute: it has nothing to finish.
        # The agent is not asked: while it is down it would fail the probe of an engine that is well.
        "livenessProbe": _probe("/health", ENGINE_PORT, period=10, failures=3, timeout=60)
        | {"terminationGracePeriodSeconds": HUNG_GRACE_SECONDS},
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
