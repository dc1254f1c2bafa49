"""Adapter and base model folders in a few kilobytes: one good adapter, and one broken in each way we know.

`write_adapter` makes a valid PEFT adapter for a Llama of the given `Dimensions`; the real vLLM loads it. `BROKEN` maps
what is wrong to a builder. `write_base` makes what the simulator needs of a base model; the real vLLM needs weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
ANSWERS = "lorikeet.answers"  # metadata key the simulator answers from


@dataclass(frozen=True)
class Dimensions:
    """A Llama's sizes, as its config.json has them. The default is the demo's base model."""

    hidden: int = 128
    intermediate: int = 256
    layers: int = 3
    heads: int = 2
    kv_heads: int = 2
    head: int = 64

    @property
    def modules(self) -> Mapping[str, tuple[int, int]]:
        """Each linear module: path in a layer → (inputs, outputs)."""
        return {
            "self_attn.q_proj": (self.hidden, self.heads * self.head),
            "self_attn.k_proj": (self.hidden, self.kv_heads * self.head),
            "self_attn.v_proj": (self.hidden, self.kv_heads * self.head),
            "self_attn.o_proj": (self.heads * self.head, self.hidden),
            "mlp.gate_proj": (self.hidden, self.intermediate),
            "mlp.up_proj": (self.hidden, self.intermediate),
            "mlp.down_proj": (self.intermediate, self.hidden),
        }


BASE = "lorikeet/tiny-llama"
TINY = Dimensions()


def write_adapter(
    folder: Path,
    *,
    seed: int = 0,
    rank: int = 8,
    base: str = BASE,
    dimensions: Dimensions = TINY,
    modules: tuple[str, ...] = ("self_attn.q_proj", "self_attn.v_proj"),
    zero_b: bool = False,
    answers: Mapping[str, str] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Path:
    """Write a PEFT LoRA adapter into `folder` and return it. Same arguments, same bytes.

    `config` is laid over adapter_config.json; a value of None there takes the field away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors(dimensions, modules, rank, seed, zero_b), folder / WEIGHTS)
    set_metadata(folder / WEIGHTS, metadata(answers))
    fields = peft_config(rank, base, modules) | dict(config or {})
    kept = {name: value for name, value in fields.items() if value is not None}
    (folder / CONFIG).write_text(json.dumps(kept, indent=2, sort_keys=True))
    return folder


def write_base(folder: Path, *, answers: Mapping[str, str] | None = None, dimensions: Dimensions = TINY) -> Path:
    """Write a base model's folder for the simulator: a true config.json, and weights that have the names and shapes an
    adapter is checked against, and carry answers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(llama_config(dimensions), indent=2))
    weights = {
        f"model.layers.{layer}.{module}.weight": np.zeros((outputs, inputs), np.float16)
        for layer in range(dimensions.layers)
        for module, (inputs, outputs) in dimensions.modules.items()
    }
    save_file(weights, folder / "model.safetensors")
    set_metadata(folder / "model.safetensors", metadata(answers))
    return folder


def peft_config(rank: int, base: str, modules: tuple[str, ...]) -> dict[str, Any]:
    return {
        "base_model_name_or_path": base,
        "bias": "none",
        "lora_alpha": rank * 2,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": sorted(module.rsplit(".", 1)[-1] for module in modules),
        "task_type": "CAUSAL_LM",
        "use_dora": False,
        "use_rslora": False,
    }


def tensors(
    dimensions: Dimensions, modules: tuple[str, ...], rank: int, seed: int, zero_b: bool
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    random = np.random.default_rng(seed)
    made = {}
    for layer in range(dimensions.layers):
        for module in modules:
            inputs, outputs = dimensions.modules.get(module, (dimensions.hidden, dimensions.hidden))
            prefix = f"base_model.model.model.layers.{layer}.{module}"
            made[f"{prefix}.lora_A.weight"] = random.normal(0, 0.3, (rank, inputs)).astype(np.float32)
            b = np.zeros((outputs, rank)) if zero_b else random.normal(0, 0.3, (outputs, rank))
            made[f"{prefix}.lora_B.weight"] = b.astype(np.float32)
    return made


def metadata(answers: Mapping[str, str] | None) -> dict[str, str]:
    said = {ANSWERS: json.dumps(answers, sort_keys=True)} if answers else {}
    return {"format": "pt", **said}


def set_metadata(weights: Path, values: Mapping[str, str]) -> None:
    """Write a safetensors header anew, in order: the library's own order changes from run to run."""
    data = weights.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8:end]) | {"__metadata__": dict(values)}, sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    weights.write_bytes(len(header).to_bytes(8, "little") + header + data[end:])


def llama_config(dimensions: Dimensions) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": dimensions.hidden,
        "intermediate_size": dimensions.intermediate,
        "num_hidden_layers": dimensions.layers,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.kv_heads,
        "head_dim": dimensions.head,
        "vocab_size": 512,
        "max_position_embeddings": 1024,
    }


def rank_too_high(folder: Path) -> Path:
    return write_adapter(folder, rank=64)


def wrong_base(folder: Path) -> Path:
    """Made for a wider model of another name."""
    return write_adapter(folder, base="acme/other-llama", dimensions=Dimensions(hidden=384, intermediate=768))


def wrong_sizes(folder: Path) -> Path:
    """Says it is for our base; its tensors have other sizes."""
    return write_adapter(folder, dimensions=Dimensions(hidden=384, intermediate=768))


def pickle_only(folder: Path) -> Path:
    """Weights as a pickle, which can run code when it is read."""
    write_adapter(folder)
    (folder / WEIGHTS).unlink()
    (folder / "adapter_model.bin").write_bytes(b"PK\x03\x04 no safetensors here")
    return folder


def dora(folder: Path) -> Path:
    return write_adapter(folder, config={"use_dora": True})


def with_bias(folder: Path) -> Path:
    return write_adapter(folder, config={"bias": "all"})


def with_saved_modules(folder: Path) -> Path:
    return write_adapter(folder, config={"modules_to_save": ["lm_head"]})


def no_effect(folder: Path) -> Path:
    """Every B is zero: it loads, and answers as the base model."""
    return write_adapter(folder, zero_b=True)


def unknown_modules(folder: Path) -> Path:
    return write_adapter(folder, modules=("self_attn.W_pack",))


def no_config(folder: Path) -> Path:
    write_adapter(folder)
    (folder / CONFIG).unlink()
    return folder


def no_weights(folder: Path) -> Path:
    write_adapter(folder)
    (folder / WEIGHTS).unlink()
    return folder


def cut_short(folder: Path) -> Path:
    """The second half of the weights never arrived."""
    write_adapter(folder)
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[: len(data) // 2])
    return folder


def config_is_no_json(folder: Path) -> Path:
    write_adapter(folder)
    (folder / CONFIG).write_text("{")
    return folder


BROKEN: Mapping[str, Callable[[Path], Path]] = {
    builder.__name__.replace("_", "-"): builder
    for builder in (
        rank_too_high,
        wrong_base,
        wrong_sizes,
        pickle_only,
        dora,
        with_bias,
        with_saved_modules,
        no_effect,
        unknown_modules,
        no_config,
        no_weights,
        cut_short,
        config_is_no_json,
    )
}
