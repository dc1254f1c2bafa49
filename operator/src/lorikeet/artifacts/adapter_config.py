"""adapter_config.json, PEFT's description of an adapter, parsed strictly."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorikeet.api.conditions import Reason
from lorikeet.artifacts import strict_json
from lorikeet.artifacts.errors import Invalid

NAME = "adapter_config.json"
LIMIT = 1024 * 1024  # bytes
RANK_LIMIT = 4096
TARGETS_LIMIT = 20_000
REGEX_LIMIT = 4096  # characters
UNBOUNDED_LIMIT = 8
"""Unbounded repeats in one regular expression: it is matched by the engine against each module's name."""


@dataclass(frozen=True)
class AdapterConfig:
    """What the engine will read from adapter_config.json."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    """Module names, or one regular expression."""
    base_model: str | None
    """What the adapter says it was trained on; a hint only, paths of other machines are common."""
    fan_in_fan_out: bool
    unsupported: tuple[str, ...]
    """Features it uses that the engine refuses or, worse, ignores."""


def read_config(path: Path) -> AdapterConfig:
    """The config in the file at `path`. Raises Invalid (InvalidAdapter)."""
    with path.open("rb") as file:
        return parse_config(file.read(LIMIT + 1))


def parse_config(data: bytes) -> AdapterConfig:
    """As read_config, from bytes. Raises Invalid."""
    if len(data) > LIMIT:
        raise Invalid(Reason.INVALID_ADAPTER, f"{NAME} has more than {LIMIT} bytes")
    try:
        return _config(strict_json.parse_object(data))
    except ValueError as error:
        raise Invalid(Reason.INVALID_ADAPTER, f"{NAME} cannot be used: {error}") from error


def _config(body: dict[str, Any]) -> AdapterConfig:
    kind = body.get("peft_type", "LORA")
    if kind != "LORA":
        raise Invalid(Reason.UNSUPPORTED_ADAPTER, f"it is of type {str(kind)[:40]!r}: only LORA adapters can be served")
    base = body.get("base_model_name_or_path")
    return AdapterConfig(
        rank=_rank(body.get("r")),
        alpha=_alpha(body.get("lora_alpha")),
        targets=_targets(body.get("target_modules")),
        base_model=base[:512] if isinstance(base, str) else None,
        fan_in_fan_out=body.get("fan_in_fan_out") is True,
        unsupported=tuple(feature for feature, used in _features(body) if used),
    )


def _features(body: dict[str, Any]) -> list[tuple[str, bool]]:
    """Features, and whether the adapter uses them. vLLM refuses the first ones and silently ignores the rest."""
    return [
        ("DoRA (use_dora)", bool(body.get("use_dora"))),
        ("modules_to_save", bool(body.get("modules_to_save"))),
        ("bias", body.get("bias", "none") != "none" or bool(body.get("lora_bias"))),
        ("rank_pattern", bool(body.get("rank_pattern"))),
        ("alpha_pattern", bool(body.get("alpha_pattern"))),
        ("layer_replication", bool(body.get("layer_replication"))),
        ("trainable_token_indices", bool(body.get("trainable_token_indices"))),
        ("use_qalora", bool(body.get("use_qalora"))),
    ]


def _rank(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= RANK_LIMIT:
        raise ValueError(f"r is {value!r:.40}, not a whole number from 1 to {RANK_LIMIT}")
    return value


def _alpha(value: Any) -> float:
    if type(value) not in (int, float) or abs(value) > 1e9 or not math.isfinite(value) or value == 0:
        raise ValueError(f"lora_alpha is {value!r:.40}, not a finite number other than 0")
    return float(value)


def _targets(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) and value:
        _check_regex(value)
        return (value,)
    if not isinstance(value, list) or not 0 < len(value) <= TARGETS_LIMIT:
        raise ValueError("target_modules is neither a list of names nor a text")
    if not all(isinstance(name, str) and 0 < len(name) <= 256 and name.isprintable() for name in value):
        raise ValueError("target_modules holds something that is no module name")
    return tuple(sorted(value))


def _check_regex(pattern: str) -> None:
    """Refuses what can run for ever: the engine would hang in the middle of everybody's requests."""
    if len(pattern) > REGEX_LIMIT:
        raise ValueError(f"target_modules is a regular expression of more than {REGEX_LIMIT} characters")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError("target_modules is no regular expression") from error
    if _nests_repeats(pattern):
        raise ValueError("target_modules is a regular expression that could run for ever: write a list of names")


def _nests_repeats(pattern: str) -> bool:
    """Whether a repeated group holds a repeat, or there are very many repeats. Errs on the side of yes."""
    bare = re.sub(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", "x", pattern, flags=re.DOTALL)
    open_groups: list[bool] = [False]  # for each open group: does it hold a repeat?
    total = 0
    for at, char in enumerate(bare):
        if char == "(":
            open_groups.append(False)
        elif char == ")" and len(open_groups) > 1:
            held = open_groups.pop()
            if held and re.match(r"[*+{]", bare[at + 1 : at + 2]):
                return True
            open_groups[-1] |= held
        elif char in "*+{":
            open_groups[-1] = True
            total += 1
    return total > UNBOUNDED_LIMIT
