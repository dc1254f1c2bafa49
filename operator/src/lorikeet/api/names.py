"""What a client may write in `model`, and who holds which name."""

from __future__ import annotations

PUBLIC_NAME = r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$"
"""1 to 128 of letters, digits and ._/- (hub ids included), no @, which only engine names have."""

PUBLIC_NAME_SAYS = "must be 1 to 128 letters, digits, '.', '_', '/' or '-', beginning and ending with a letter or digit"

OBJECT_NAME_BUDGET = 40
"""Longest metadata.name: leaves room for what we append in names of pods, Services and engines."""


def default_model_name(uri: str) -> str:
    """The base model's public name where the spec gives none.

    hf://Qwen/Qwen2.5-1.5B-Instruct@abc → qwen/qwen2.5-1.5b-instruct; image:///models/tiny → tiny.
    """
    rest = uri.split("://", 1)[1]
    if uri.startswith("hf://"):
        return rest.split("@", 1)[0].lower()
    return rest.rstrip("/").rsplit("/", 1)[-1]
