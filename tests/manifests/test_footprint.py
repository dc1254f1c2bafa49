"""The T4 sample and the chart's defaults fit the hosts that terraform/envs/g4dn makes by default."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.controller.podspec import pod_spec
from lorikeet.engine.flags import PROFILES
from lorikeet.testing import builders as b

ROOT = Path(__file__).parents[2]
GIB, MIB = 2**30, 2**20
UNITS = {"m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": MIB, "Gi": GIB, "": 1}


@dataclass(frozen=True)
class Host:
    """What AWS says of an instance type."""

    cpus: float
    memory: float
    gpus: int = 0
    gpu_memory: float = 0.0


G4DN_XLARGE = Host(cpus=4, memory=16 * GIB, gpus=1, gpu_memory=15360 * MIB)
T3_MEDIUM = Host(cpus=2, memory=4 * GIB)
KERNEL = 0.05
"""Share of a host's memory that the kernel and the kubelet's eviction threshold keep."""
CALICO_CPU = 0.25
"""What Calico's manifest asks for on each node."""


@dataclass(frozen=True)
class Model:
    """The sizes that count of Qwen/Qwen2.5-1.5B-Instruct, from its config.json."""

    parameters: float = 1.54e9
    layers: int = 28
    kv_heads: int = 2
    head: int = 128
    hidden: int = 1536
    intermediate: int = 8960

    @property
    def kv_bytes(self) -> float:
        """Of one token, in 16 bits: keys and values."""
        return 2 * self.layers * self.kv_heads * self.head * 2

    def adapter_bytes(self, rank: int) -> float:
        """Of one adapter on every linear module, in 16 bits."""
        kv = self.kv_heads * self.head
        attention = 2 * (self.hidden + self.hidden) + 2 * (self.hidden + kv)
        return (attention + 3 * (self.hidden + self.intermediate)) * self.layers * rank * 2


QWEN = Model()
ACTIVATIONS = 1.5 * GIB
"""vLLM's own peak beside weights, adapters and KV cache: activations of a 4k prefill, and CUDA's context."""
PROCESS = 4 * GIB
"""Main memory of vLLM's processes with torch and CUDA, before any weights."""


def sample() -> ModelServerSpec:
    first = next(yaml.safe_load_all((ROOT / "manifests/samples/qwen-t4.yaml").read_text()))
    return ModelServerSpec.parse(first["spec"])


def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "charts/lorikeet/values.yaml").read_text())
    return found


def amount(quantity: str | int) -> float:
    """A Kubernetes quantity as a number."""
    text = str(quantity)
    number = text.rstrip("".join(set("".join(UNITS))))
    return float(number) * UNITS[text[len(number) :]]


def requests(containers: list[dict[str, Any]], what: str) -> float:
    return sum(amount(container["resources"]["requests"].get(what, 0)) for container in containers)


def system(what: str) -> float:
    """What each host keeps for itself and its DaemonSets ask for."""
    settings = (ROOT / "cluster-setup/sources/ubuntu.sh").read_text()
    reserved = [yaml.safe_load(found) for found in re.findall(r"(?:system|kube)Reserved: (\{.*?\})", settings)]
    assert len(reserved) == 2
    gpu_stack = yaml.safe_load_all((ROOT / "cluster-setup/manifests/nvidia.yaml").read_text())
    sets = [one["spec"]["template"]["spec"] for one in gpu_stack if one["kind"] == "DaemonSet"]
    asked = sum(requests(one["containers"], what) for one in sets)
    return sum(amount(one[what]) for one in reserved) + asked + (CALICO_CPU if what == "cpu" else 0)


@pytest.fixture
def pod() -> dict[str, Any]:
    return dict(pod_spec(replace(b.server(), spec=sample()), b.installation()))


def test_the_t4_samples_pod_fits_a_g4dn_xlarge(pod: dict[str, Any]) -> None:
    containers = [*pod["initContainers"], *pod["containers"]]
    assert requests(containers, "cpu") <= G4DN_XLARGE.cpus - system("cpu")
    assert requests(containers, "memory") <= G4DN_XLARGE.memory * (1 - KERNEL) - system("memory")
    assert requests(containers, "nvidia.com/gpu") == G4DN_XLARGE.gpus


def test_the_t4_sample_asks_for_2_to_3_cores_and_8_to_12_gib_with_4k_context_and_80_percent_of_the_gpu() -> None:
    spec, profile = sample(), PROFILES["T4"]
    assert spec.engine.profile == "T4"
    assert 2 <= amount(spec.resources.cpu) <= 3
    assert 8 * GIB <= amount(spec.resources.memory) <= 12 * GIB
    assert (spec.engine.max_model_len or profile.max_model_len) == 4096
    assert (spec.engine.gpu_memory_percent or profile.gpu_memory_percent) == 80


def test_the_t4s_memory_holds_weights_adapters_and_16_contexts_of_the_sample() -> None:
    spec, profile = sample(), PROFILES["T4"]
    percent = spec.engine.gpu_memory_percent or profile.gpu_memory_percent or 100
    room = G4DN_XLARGE.gpu_memory * percent / 100
    slots = spec.lora.max_loras * QWEN.adapter_bytes(spec.lora.max_rank)
    contexts = 16 * (spec.engine.max_model_len or 0) * QWEN.kv_bytes
    assert QWEN.parameters * 2 + slots + contexts + ACTIVATIONS <= room


def test_the_samples_main_memory_holds_the_process_the_weights_and_every_cached_adapter() -> None:
    spec = sample()
    cached = spec.lora.max_cpu_loras * QWEN.adapter_bytes(spec.lora.max_rank)
    assert PROCESS + QWEN.parameters * 2 + cached <= amount(spec.resources.memory)


def test_the_charts_default_pods_fit_a_t3_medium_beside_the_system() -> None:
    chart = values()
    pods = {"operator": chart["operator"]["replicas"], "gateway": chart["gateway"]["replicas"]}
    asked = {
        what: sum(count * amount(chart[name]["resources"]["requests"][what]) for name, count in pods.items())
        for what in ("cpu", "memory")
    }
    assert asked["cpu"] <= T3_MEDIUM.cpus - system("cpu")
    assert asked["memory"] <= T3_MEDIUM.memory * (1 - KERNEL) - system("memory")
