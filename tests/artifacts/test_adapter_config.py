"""adapter_config.json from strangers."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.adapter_config import LIMIT, parse_config
from lorikeet.artifacts.errors import Invalid

GOOD = {
    "peft_type": "LORA",
    "r": 16,
    "lora_alpha": 32,
    "target_modules": ["v_proj", "q_proj"],
    "base_model_name_or_path": "acme/base",
    "bias": "none",
}
UNSLOTH = (
    r"(?:.*?(?:language|text).*?(?:self_attn|attention|attn|mlp|feed_forward|ffn|dense).*?"
    r"(?:k_proj|v_proj|q_proj|out_proj|fc1|fc2).*?)|(?:\bmodel\.layers\.[\d]{1,}\.(?:self_attn|mlp)\.(?:k_proj|v_proj))"
)


def text(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value != "absent"}).encode()


def test_a_config_is_read() -> None:
    config = parse_config(text())
    assert (config.rank, config.alpha, config.base_model) == (16, 32.0, "acme/base")
    assert config.targets == ("q_proj", "v_proj")
    assert config.unsupported == ()


@pytest.mark.parametrize("pattern", ["all-linear", r".*\.q_proj", UNSLOTH, r"model\.layers\.[0-9]+\.(q|v)_proj"])
def test_modules_may_be_one_pattern(pattern: str) -> None:
    assert parse_config(text(target_modules=pattern)).targets == (pattern,)


NO_TARGETS: tuple[Any, ...] = (None, [], "", [1], [""], ["a\nb"], {}, "absent")
BAD: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "null": b"null",
    "a BOM": b"\xef\xbb\xbf" + text(),
    "UTF-16": text().decode().encode("utf-16"),
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "large": b" " * LIMIT + text(),
    "a key twice": b'{"r": 8, "r": 64, "lora_alpha": 1, "target_modules": ["q"]}',
    "NaN": b'{"r": 8, "lora_alpha": NaN, "target_modules": ["q"]}',
    "Infinity": b'{"r": 8, "lora_alpha": Infinity, "target_modules": ["q"]}',
    "1e999": b'{"r": 8, "lora_alpha": 1e999, "target_modules": ["q"]}',
    "huge number": b'{"r": ' + b"9" * 5000 + b', "lora_alpha": 1, "target_modules": ["q"]}',
    **{f"r = {r!r}": text(r=r) for r in (0, -1, 10**6, "16", 16.5, True, None, "absent", [16])},
    **{f"lora_alpha = {a!r}": text(lora_alpha=a) for a in ("32", None, True, 0, 10**400, "absent")},
    **{
        f"target_modules = {t!r:.20}": text(target_modules=t) for t in (None, [], "", [1], [""], ["a\nb"], {}, "absent")
    },
    "a pattern bomb": text(target_modules="(a+)+$"),
    "a nested pattern bomb": text(target_modules="((ab?)*c)*d"),
    "a counted pattern bomb": text(target_modules="(?:a{1,99}){1,99}b"),
    "a polynomial pattern bomb": text(target_modules=".*" * 30 + "x"),
    "no pattern": text(target_modules="(a"),
    "a long pattern": text(target_modules="a" * 5000),
    "too many modules": text(target_modules=["q"] * 30_000),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_bad_config_is_refused_quickly_with_a_sentence(data: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(Invalid, match=r"adapter_config\.json") as caught:
        parse_config(data)
    assert caught.value.reason is Reason.INVALID_ADAPTER
    assert len(caught.value.message) < 300
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "change",
    [
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"bias": "all"},
        {"bias": "lora_only"},
        {"lora_bias": True},
        {"rank_pattern": {"q_proj": 4}},
        {"alpha_pattern": {"q_proj": 4}},
        {"layer_replication": [[0, 2]]},
        {"trainable_token_indices": [1]},
    ],
)
def test_what_engines_cannot_serve_is_named(change: dict[str, Any]) -> None:
    (feature,) = parse_config(text(**change)).unsupported
    assert next(iter(change)) in feature or feature == "bias"


def test_another_kind_of_adapter_is_unsupported() -> None:
    with pytest.raises(Invalid) as caught:
        parse_config(text(peft_type="IA3"))
    assert caught.value.reason is Reason.UNSUPPORTED_ADAPTER


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.tuples(st.integers(0, 150), st.binary(max_size=4)))
def test_mutated_bytes_are_read_or_refused_and_nothing_else(change: bytes | tuple[int, bytes]) -> None:
    data = text()
    if isinstance(change, tuple):
        at, fresh = change
        data = data[:at] + fresh + data[at + len(fresh) :]
    else:
        data = change
    try:
        parse_config(data)
    except Invalid:
        return
