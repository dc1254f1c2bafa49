"""What files say about an adapter and about a base model: plain values, from headers alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.adapter_config import NAME as CONFIG
from lorikeet.artifacts.adapter_config import AdapterConfig, read_config
from lorikeet.artifacts.errors import Invalid
from lorikeet.artifacts.header import Tensor, read_header

WEIGHTS = "adapter_model.safetensors"
HALF = re.compile(r"(?P<module>.+)\.(?:lora_(?P<linear>[AB])\.weight|lora_embedding_(?P<embedding>[AB]))")
FLOATS = ("F16", "BF16", "F32")
EMBEDDINGS = ("embed_tokens", "lm_head")
CHUNK = 1024 * 1024
RENAMED = (("model.language_model.", "model."), ("language_model.model.", "model."), ("language_model.", ""))
"""Where multimodal checkpoints and transformers' modules name the same text model differently."""


@dataclass(frozen=True)
class Module:
    """One adapted module: `inputs` and `outputs` are the axes of A and B next to the rank."""

    name: str
    rank: int
    inputs: int
    outputs: int
    embedding: bool = False


@dataclass(frozen=True)
class AdapterFacts:
    """What `fit` needs to know of an adapter."""

    config: AdapterConfig
    modules: tuple[Module, ...]
    bytes: int
    acts: bool
    """False where every B is zero: the adapter changes nothing."""


@dataclass(frozen=True)
class ModelFacts:
    """A base model's modules: name → shape of its weight, None where it is packed (quantized)."""

    modules: dict[str, tuple[int, ...] | None]

    @property
    def lora_width(self) -> int:
        """Numbers that one slot of an engine holds for each rank: inputs plus outputs of every linear module.

        0 where it cannot be told: packed weights do not show their size. Models whose embeddings take LoRA need some
        percent more.
        """
        linear = [shape for name, shape in self.modules.items() if name.rpartition(".")[2] not in EMBEDDINGS]
        return 0 if None in linear else sum(sum(shape) for shape in linear if shape and len(shape) == 2)


def inspect_adapter(folder: Path) -> AdapterFacts:
    """The facts of the adapter in `folder`. Raises Invalid."""
    config = read_config(folder / CONFIG)
    weights = folder / WEIGHTS
    tensors = read_header(weights)
    modules = pair(tensors, config.rank)
    size = sum((folder / name).stat().st_size for name in (CONFIG, WEIGHTS))
    return AdapterFacts(config, modules, size, _acts(weights, tensors))


def inspect_model(folder: Path) -> ModelFacts:
    """The facts of the base model in `folder`, from the headers of its safetensors files. Raises Invalid."""
    shapes: dict[str, tuple[int, ...] | None] = {}
    for path in sorted(folder.glob("*.safetensors")):
        for tensor in read_header(path):
            module, _, kind = canonical(tensor.name).rpartition(".")
            if kind == "weight":
                shapes[module] = tensor.shape if tensor.dtype in FLOATS else None
            elif kind in ("qweight", "weight_packed"):
                shapes[module] = None
    if "lm_head" not in shapes and "model.embed_tokens" in shapes:  # tied: the checkpoint keeps one of the two
        shapes["lm_head"] = shapes["model.embed_tokens"]
    return ModelFacts(shapes)


def canonical(name: str) -> str:
    """A tensor's or module's name as adapter and base model can both be asked for it."""
    name = name.removeprefix("base_model.model.")
    for old, new in RENAMED:
        if name.startswith(old):
            return new + name[len(old) :]
    return name


def pair(tensors: Iterable[Tensor], rank: int) -> tuple[Module, ...]:
    """Each module's A and B as one value, sorted by name. Raises Invalid where they do not make a LoRA of `rank`."""
    halves: dict[str, dict[str, Tensor]] = {}
    embeddings: set[str] = set()
    for tensor in tensors:
        match = HALF.fullmatch(tensor.name)
        if match is None or len(tensor.shape) != 2 or tensor.dtype not in FLOATS:
            what = f"it holds the tensor {tensor.name[:120]!r} ({tensor.dtype}, {len(tensor.shape)} axes)"
            raise Invalid(Reason.UNSUPPORTED_ADAPTER, f"{what}, which is no LoRA weight: export plain LoRA weights")
        module = canonical(match["module"])
        halves.setdefault(module, {})[match["linear"] or match["embedding"]] = tensor
        if match["embedding"]:
            embeddings.add(module)
    return tuple(_module(name, halves[name], rank, name in embeddings) for name in sorted(halves))


def _module(name: str, halves: dict[str, Tensor], rank: int, embedding: bool) -> Module:
    if set(halves) != {"A", "B"}:
        raise Invalid(Reason.INVALID_ADAPTER, f"{WEIGHTS} has one half of the LoRA of {name[:120]!r} only")
    (found, inputs), (outputs, again) = halves["A"].shape, halves["B"].shape
    if (found, again) != (rank, rank):
        said = f"{CONFIG} says r={rank}, but the weights of {name[:120]!r} have rank {found} and {again}"
        raise Invalid(Reason.INVALID_ADAPTER, said)
    return Module(name, rank, inputs, outputs, embedding)


def _acts(path: Path, tensors: Iterable[Tensor]) -> bool:
    """Whether any B has a byte that is not zero. Reads only up to the first one, as a rule."""
    with path.open("rb") as file:
        for tensor in tensors:
            if not tensor.name.endswith(("lora_B.weight", "lora_embedding_B")):
                continue
            file.seek(tensor.begin)
            left = tensor.end - tensor.begin
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                if chunk.count(0) != len(chunk):
                    return True
                left -= len(chunk)
    return False
