"""Objects whose status an operator would have written, and keys that a person would have made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lorikeet.api.ref import engine_name
from lorikeet.cli import main as cli
from lorikeet.testing.apiserver import ApiServer

DIGEST = "3f9c1a7d20b4" + "0" * 52


def publish(api: ApiServer, namespace: str, addresses: Sequence[str], adapters: Sequence[str] = ("sql",)) -> None:
    """Server `qwen` with model `base` on these engines, each with the adapters."""
    pods = {f"pod-{number}": address for number, address in enumerate(addresses)}
    spec = {"model": {"uri": "image:///models/tiny"}, "engine": {"maxNumSeqs": 10_000}}
    api.apply(_thing("ModelServer", namespace, "qwen", spec))
    rows = [{"pod": pod, "address": address, "boot": "1", "ready": True} for pod, address in pods.items()]
    _tell(api, namespace, "modelserver", "qwen", {"modelName": "base", "endpoints": rows})
    for name in adapters:
        source = {"uri": f"hf://acme/{name}@{'a' * 40}"}
        api.apply(_thing("LoRAAdapter", namespace, name, {"modelServerRef": {"name": "qwen"}, "source": source}))
        replicas = [{"pod": pod, "digest": DIGEST, "state": "Loaded"} for pod in pods]
        status = {"engineName": engine_name(name, DIGEST), "names": [name], "replicas": replicas}
        _tell(api, namespace, "loraadapter.lorikeet.dev", name, status)


async def keys(api: ApiServer, namespace: str, *words: str) -> str:
    """`kubectl lorikeet keys …`; the last line that it says: of create and rotate, the key."""
    told = ["--kubeconfig", str(api.kubeconfig), "-n", namespace, "keys", *words]
    return (await cli.run(cli.parser().parse_args(told))).splitlines()[-1]


def key_id(key: str) -> str:
    """What a key is called."""
    return key.split("-")[1]


def _thing(kind: str, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "lorikeet.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def _tell(api: ApiServer, namespace: str, kind: str, name: str, status: dict[str, Any]) -> None:
    patch = json.dumps({"status": status})
    api.kubectl("patch", kind, name, "-n", namespace, "--subresource=status", "--type=merge", f"--patch={patch}")
