"""How long a wrong key is looked at says nothing of the right one (P28)."""

from __future__ import annotations

import base64
import contextlib
import gc
import json
import random
import time
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from lorikeet.api.apikeys import digest, id_of, new_key
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.openai import ApiError

PROBES = 100_000
PEPPER = b"p" * 32
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
KINDS = ("an unknown id", "a long common beginning", "a known id alone")
OFTEN = (2, 1, 1)
"""Ids that are known are as frequent as others: processors are quicker at whatever they do more often."""
SIGNAL = 0.02
"""How far from a half the chance may be that a probe of one kind takes longer than one of another.

Where nothing tells them apart, chance alone moves it by 0.0022 (one standard deviation, with so many probes)."""

Look = Callable[[bytes], object]
pytestmark = pytest.mark.slow


@pytest.fixture
def right() -> bytes:
    return new_key(random.Random(7).randbytes)[1].encode()


def test_neither_a_known_id_nor_a_good_beginning_of_a_key_can_be_told_by_time(right: bytes) -> None:
    entry = json.dumps({"hmac": digest(PEPPER, right), "tenant": "team"}).encode()
    fields = {"pepper": PEPPER, f"key.{id_of(right)}": entry}
    keys = Keys(b"r" * 32, open=False)
    keys.put("one", {name: base64.b64encode(value).decode() for name, value in fields.items()})
    assert keys.who({b"x-api-key": right})

    def who(key: bytes) -> None:
        with contextlib.suppress(ApiError):
            keys.who({b"x-api-key": key})
            raise AssertionError("a wrong key opened something")

    assert told_apart(who, right) == {}


def test_a_comparison_that_ends_at_the_first_difference_would_be_found_out(right: bytes) -> None:
    def leaky(key: bytes) -> bool:
        return all(ours == theirs for ours, theirs in zip(right, key, strict=True))

    assert len(told_apart(leaky, right)) == 3


def told_apart(look: Look, right: bytes) -> dict[tuple[str, str], float]:
    """Pairs of kinds that the rank test tells apart by their times, with its value. Probes of all kinds are mixed."""
    chance = random.Random(8)
    kinds = chance.choices(KINDS, OFTEN, k=PROBES)
    took = np.array(times(look, [wrong(kind, right, chance) for kind in kinds]))
    of = {kind: took[[one == kind for one in kinds]] for kind in KINDS}
    found = {(a, b): longer(of[a], of[b]) for a, b in combinations(KINDS, 2)}
    print(found, {kind: float(np.median(of[kind])) for kind in KINDS})
    return {pair: value for pair, value in found.items() if abs(value - 0.5) > SIGNAL}


def times(look: Look, keys: list[bytes]) -> list[int]:
    """Nanoseconds of each."""
    clock, took = time.perf_counter_ns, []
    gc.disable()
    try:
        for key in keys:
            began = clock()
            look(key)
            took.append(clock() - began)
    finally:
        gc.enable()
    return took


def wrong(kind: str, right: bytes, chance: random.Random) -> bytes:
    """A key of the right length that is not the right one; no two are the same."""
    begin = {"an unknown id": 3, "a known id alone": 3 + 12 + 1, "a long common beginning": len(right) - 6}[kind]
    noise = bytes(chance.choices(ALPHABET[:-2], k=len(right) - begin))
    # Where the rest begins it differs for sure: what is shared is what is said.
    first = ALPHABET[0] if right[begin] != ALPHABET[0] else ALPHABET[1]
    made = bytearray(right[:begin] + bytes([first]) + noise[1:])
    made[15] = right[15]  # the dash behind the id
    return bytes(made)


def longer(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    """The chance that one of `a` is longer than one of `b`, equal ones counted half: Mann and Whitney's test."""
    _, where, counts = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[where]
    return float((ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))
