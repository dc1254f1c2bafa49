"""What the simulator makes of a folder of weights: enough to answer in its own way, and vLLM's reasons to refuse it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WEIGHTS = "adapter_model.safetensors"
MODULES = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
ANSWERS = "lorikeet.answers"
"""Key of a safetensors file's metadata: a JSON object question → answer. vLLM ignores it."""


class NoAdapter(Exception):
    """vLLM finds no adapter in the folder."""


class BadAdapter(Exception):
    """vLLM refuses the adapter; the text is vLLM's."""


@dataclass(frozen=True)
class Weights:
    """What answers depend on: the bytes, and the words they carry."""

    digest: str  # sha256 of the weight file, hex
    answers: Mapping[str, str]

    def answer(self, name: str, question: str) -> str:
        """The same for the same bytes, another for others."""
        known = self.answers.get(question.strip())
        return known or f"{name} ({self.digest[:8]}) has no answer to: {question.strip()[:200]}"


def read_base(folder: Path) -> Weights:
    """The base model's weights. Raises FileNotFoundError where vLLM would not start."""
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}/config.json")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise FileNotFoundError(f"Cannot find any model weights with `{folder}`")
    return read_weights(weights[0])


def read_adapter(folder: Path, max_rank: int) -> Weights:
    """Raises NoAdapter or BadAdapter, as vLLM's checks do and in their order."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text())
    except OSError as error:
        raise NoAdapter from error
    except ValueError as error:
        raise BadAdapter(str(error)) from error
    check_config(config, max_rank)
    if not (folder / WEIGHTS).is_file():
        raise BadAdapter(f"{folder} doesn't contain tensors")
    check_modules(folder)
    return read_weights(folder / WEIGHTS)


def check_config(config: dict[str, Any], max_rank: int) -> None:
    if missing := [name for name in ("r", "lora_alpha", "target_modules") if name not in config]:
        raise BadAdapter(f"Missing required configuration fields: {missing}")
    reasons = []
    if config["r"] > max_rank:
        reasons.append(f"LoRA rank {config['r']} is greater than max_lora_rank {max_rank}.")
    if config.get("modules_to_save"):
        reasons.append("vLLM only supports modules_to_save being either None")
    if config.get("use_dora"):
        reasons.append("vLLM does not yet support DoRA.")
    if config.get("bias", "none") != "none":
        reasons.append("Adapter bias is not supported.")
    if reasons:
        raise BadAdapter(" ".join(reasons))


def check_modules(folder: Path) -> None:
    names = [name for name in read_header(folder / WEIGHTS) if name != "__metadata__"]
    modules = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in names}
    if unexpected := sorted(name for name in modules if name.rsplit(".", 1)[-1] not in MODULES):
        raise BadAdapter(
            f"While loading {folder}, expected target modules in {set(MODULES)} but received {unexpected}."
            " Please verify that the loaded LoRA module is correct"
        )


def read_weights(path: Path) -> Weights:
    metadata = read_header(path).get("__metadata__", {})
    return Weights(hashlib.sha256(path.read_bytes()).hexdigest(), json.loads(metadata.get(ANSWERS, "{}")))


def read_header(path: Path) -> dict[str, Any]:
    """A safetensors file's header. Raises BadAdapter where it has none."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        data = file.read(min(size, 100_000_000))
    try:
        header = json.loads(data)
    except ValueError as error:
        raise BadAdapter("Error while deserializing header: invalid JSON in header") from error
    if len(data) != size or not isinstance(header, dict) or 8 + size + tensor_bytes(header) != path.stat().st_size:
        raise BadAdapter("Error while deserializing header: incomplete metadata, file not fully covered")
    return header


def tensor_bytes(header: dict[str, Any]) -> int:
    return max((tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"), default=0)
