"""Who an object is, and what the engine calls it."""

from __future__ import annotations

from dataclasses import dataclass

GROUP = "lorikeet.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
DIGEST_DIGITS = 12
"""Hex digits of the content digest in an engine name: 48 bits tell versions of one adapter apart."""


@dataclass(frozen=True, order=True)
class Ref:
    """The identity of a namespaced object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def engine_name(adapter: str, digest: str) -> str:
    """The immutable name under which the engine knows these bytes of this adapter.

    `adapter` is the object's name, `digest` the content digest in hex. A new version is a new name, so the engine's
    prefix cache, which is keyed by name, can never answer with an old version's blocks.
    """
    return f"{adapter}@{digest[:DIGEST_DIGITS]}"
