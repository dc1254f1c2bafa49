"""Whether an adapter fits a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.adapter_config import AdapterConfig
from lorikeet.artifacts.errors import Invalid
from lorikeet.artifacts.facts import AdapterFacts, ModelFacts, Module, inspect_adapter, inspect_model
from lorikeet.artifacts.fit import Terms, fit
from lorikeet.testing.adapters import Dimensions, write_adapter, write_base

SMALL = Dimensions(hidden=32, intermediate=64, layers=2, heads=2, kv_heads=2, head=16)
TERMS = Terms("sql-expert", "qwen", 32)
CONFIG = AdapterConfig(8, 16.0, ("q_proj",), "acme/base", False, ())
Q, V = Module("model.layers.0.q_proj", 8, 32, 64), Module("model.layers.0.v_proj", 8, 32, 32)
GOOD = AdapterFacts(CONFIG, (Q, V), 1000, True)
MODEL = ModelFacts({Q.name: (64, 32), V.name: (32, 32), "model.embed_tokens": (512, 32)})

ROWS: list[tuple[str, AdapterFacts, Reason | None]] = [
    ("fits", GOOD, None),
    ("says another base", replace(GOOD, config=replace(CONFIG, base_model="/home/x/other")), None),
    ("at the limit", replace(GOOD, config=replace(CONFIG, rank=32)), None),
    ("rank above it", replace(GOOD, config=replace(CONFIG, rank=64)), Reason.RANK_TOO_HIGH),
    ("DoRA", replace(GOOD, config=replace(CONFIG, unsupported=("DoRA (use_dora)",))), Reason.UNSUPPORTED_ADAPTER),
    ("no tensors", replace(GOOD, modules=()), Reason.NO_EFFECT),
    ("all B zero", replace(GOOD, acts=False), Reason.NO_EFFECT),
    ("no name matches", replace(GOOD, modules=(replace(Q, name="transformer.h.0.q"),)), Reason.NO_EFFECT),
    ("one name is strange", replace(GOOD, modules=(Q, replace(V, name="model.layers.9.v"))), Reason.WRONG_BASE_MODEL),
    ("other inputs", replace(GOOD, modules=(replace(Q, inputs=48),)), Reason.WRONG_BASE_MODEL),
    ("other outputs", replace(GOOD, modules=(replace(Q, outputs=48),)), Reason.WRONG_BASE_MODEL),
    ("turned", replace(GOOD, modules=(replace(Q, inputs=64, outputs=32),)), Reason.WRONG_BASE_MODEL),
    (
        "turned, and says so",
        replace(GOOD, modules=(replace(Q, inputs=64, outputs=32),), config=replace(CONFIG, fan_in_fan_out=True)),
        None,
    ),
    ("an embedding", replace(GOOD, modules=(Module("model.embed_tokens", 8, 512, 32, embedding=True),)), None),
]


@pytest.mark.parametrize(("facts", "reason"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_fit(facts: AdapterFacts, reason: Reason | None) -> None:
    problem = fit(facts, MODEL, TERMS)
    assert (problem.reason if problem else None) == reason
    if problem is not None:
        assert problem.lasting
        assert problem.message.startswith("adapter sql-expert ")


def test_the_sentence_names_object_fact_and_next_step() -> None:
    problem = fit(replace(GOOD, config=replace(CONFIG, rank=64)), MODEL, TERMS)
    assert problem is not None
    said = "adapter sql-expert has rank 64, server qwen allows 32: raise spec.lora.maxRank or retrain"
    assert problem.message == said


def test_above_what_any_engine_takes_no_server_is_advised_to_take_it() -> None:
    problem = fit(replace(GOOD, config=replace(CONFIG, rank=600)), MODEL, TERMS)
    assert problem is not None
    assert problem.message == "adapter sql-expert has rank 600, engines take 512 at most: train it with a lower rank"


def test_what_a_slot_holds_for_each_rank_are_the_sides_of_every_linear_weight(tmp_path: Path) -> None:
    model = inspect_model(write_base(tmp_path, dimensions=SMALL))
    attention = 4 * (32 + 32)
    assert model.lora_width == SMALL.layers * (attention + 3 * (32 + 64))
    assert replace(model, modules={**model.modules, "model.layers.0.mlp.up_proj": None}).lora_width == 0


def test_a_quantized_weight_says_nothing_of_its_shape() -> None:
    assert fit(GOOD, ModelFacts({Q.name: None, V.name: None}), TERMS) is None


def test_without_sight_of_the_base_model_only_the_adapter_is_judged() -> None:
    assert fit(GOOD, None, TERMS) is None
    assert fit(replace(GOOD, acts=False), None, TERMS) is not None


def test_real_files_fit_their_base_and_no_other(tmp_path: Path) -> None:
    facts = inspect_adapter(write_adapter(tmp_path / "a", dimensions=SMALL))
    assert facts.config.rank == 8
    assert facts.bytes == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
    assert fit(facts, inspect_model(write_base(tmp_path / "b", dimensions=SMALL)), TERMS) is None
    other = fit(facts, inspect_model(write_base(tmp_path / "c", dimensions=replace(SMALL, hidden=48))), TERMS)
    assert other is not None
    assert other.reason is Reason.WRONG_BASE_MODEL
    assert "it has" not in other.message


def test_an_adapter_of_the_same_shape_for_more_layers_is_for_another_base(tmp_path: Path) -> None:
    facts = inspect_adapter(write_adapter(tmp_path / "a", dimensions=replace(SMALL, layers=3)))
    problem = fit(facts, inspect_model(write_base(tmp_path / "b", dimensions=SMALL)), TERMS)
    assert problem is not None
    assert problem.reason is Reason.WRONG_BASE_MODEL


@pytest.mark.parametrize(
    ("adapter", "model"),
    [
        ("base_model.model.model.layers.0.x", "model.layers.0.x"),
        ("base_model.model.model.language_model.layers.0.x", "model.layers.0.x"),
        ("base_model.model.model.layers.0.x", "language_model.model.layers.0.x"),
        ("base_model.model.lm_head", "model.embed_tokens"),
    ],
)
def test_names_meet_where_checkpoints_and_modules_differ(tmp_path: Path, adapter: str, model: str) -> None:
    save_file({f"{model}.weight": np.ones((6, 4), np.float32)}, tmp_path / "model.safetensors")
    write_adapter(tmp_path / "a", dimensions=SMALL)
    halves = {f"{adapter}.lora_A.weight": (8, 4), f"{adapter}.lora_B.weight": (6, 8)}
    made = {name: np.ones(shape, np.float32) for name, shape in halves.items()}
    save_file(made, tmp_path / "a/adapter_model.safetensors")
    assert fit(inspect_adapter(tmp_path / "a"), inspect_model(tmp_path), TERMS) is None


Tensors = dict[str, "np.ndarray[Any, Any]"]
PREFIX = "base_model.model.model.layers.0.self_attn.q_proj"


def drop_a(tensors: Tensors) -> None:
    del tensors[f"{PREFIX}.lora_A.weight"]


def other_rank(tensors: Tensors) -> None:
    for half, shape in (("A", (4, 32)), ("B", (32, 4))):
        tensors[f"{PREFIX}.lora_{half}.weight"] = np.ones(shape, np.float32)


def halves_differ(tensors: Tensors) -> None:
    tensors[f"{PREFIX}.lora_B.weight"] = np.ones((32, 4), np.float32)


def strange_name(tensors: Tensors) -> None:
    tensors["base_model.model.lm_head.weight"] = np.ones((4, 4), np.float32)


def magnitude(tensors: Tensors) -> None:
    tensors[f"{PREFIX}.lora_magnitude_vector"] = np.ones(4, np.float32)


def named_half(tensors: Tensors) -> None:
    tensors[f"{PREFIX}.lora_A.default.weight"] = tensors.pop(f"{PREFIX}.lora_A.weight")


def three_axes(tensors: Tensors) -> None:
    tensors[f"{PREFIX}.lora_A.weight"] = np.ones((8, 4, 8), np.float32)


def integers(tensors: Tensors) -> None:
    tensors[f"{PREFIX}.lora_A.weight"] = np.ones((8, 32), np.int8)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (drop_a, Reason.INVALID_ADAPTER),
        (other_rank, Reason.INVALID_ADAPTER),
        (halves_differ, Reason.INVALID_ADAPTER),
        (strange_name, Reason.UNSUPPORTED_ADAPTER),
        (magnitude, Reason.UNSUPPORTED_ADAPTER),
        (named_half, Reason.UNSUPPORTED_ADAPTER),
        (three_axes, Reason.UNSUPPORTED_ADAPTER),
        (integers, Reason.UNSUPPORTED_ADAPTER),
    ],
)
def test_tensors_that_make_no_lora_are_refused(
    tmp_path: Path, change: Callable[[Tensors], None], reason: Reason
) -> None:
    from safetensors.numpy import load_file

    folder = write_adapter(tmp_path / "a", dimensions=SMALL)
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, folder / "adapter_model.safetensors")
    with pytest.raises(Invalid) as caught:
        inspect_adapter(folder)
    assert caught.value.reason is reason


def test_one_byte_in_one_b_is_an_effect(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", dimensions=SMALL, zero_b=True)
    assert not inspect_adapter(folder).acts
    data = bytearray((folder / "adapter_model.safetensors").read_bytes())
    from lorikeet.artifacts.header import read_header

    last = [one for one in read_header(folder / "adapter_model.safetensors") if "lora_B" in one.name][-1]
    data[last.end - 1] = 1
    (folder / "adapter_model.safetensors").write_bytes(bytes(data))
    assert inspect_adapter(folder).acts
