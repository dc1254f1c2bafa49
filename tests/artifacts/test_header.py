"""The safetensors header parser, against good files, known attacks and mutated bytes."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save, save_file

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.errors import Invalid
from lorikeet.artifacts.header import HEADER_LIMIT, TENSOR_LIMIT, Tensor, parse_header, read_header

GOOD = save({"a": np.zeros((2, 3), np.float32), "b": np.ones(4, np.float16)}, metadata={"format": "pt"})
ONE = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


def parse(data: bytes) -> tuple[Tensor, ...]:
    return parse_header(io.BytesIO(data), len(data))


def file_of(header: Any, data: bytes = b"\0" * 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def one(**changes: Any) -> dict[str, Any]:
    return {"a": ONE["a"] | changes}


def test_a_file_of_the_real_library_is_read_as_it_reads_it(tmp_path: Path) -> None:
    save_file({"x": np.zeros((2, 3), np.float32), "y": np.ones((5,), np.float16)}, tmp_path / "f.safetensors")
    tensors = {tensor.name: tensor for tensor in read_header(tmp_path / "f.safetensors")}
    assert (tensors["x"].dtype, tensors["x"].shape) == ("F32", (2, 3))
    assert (tensors["y"].dtype, tensors["y"].shape) == ("F16", (5,))
    assert tensors["x"].end - tensors["x"].begin == 24


def test_a_file_may_hold_nothing() -> None:
    assert parse(file_of({}, b"")) == ()


def test_the_header_may_be_padded_with_spaces() -> None:
    assert len(parse(file_of(json.dumps(ONE).encode() + b"   "))) == 1


BAD: dict[str, bytes] = {
    "empty file": b"",
    "short length word": b"\0\0\0",
    "length word 0": struct.pack("<Q", 0) + b"\0" * 8,
    "length word 2^63": struct.pack("<Q", 2**63) + b"{}",
    "length word above the file": file_of(ONE, length=10_000),
    "length word above the cap": file_of(ONE, length=HEADER_LIMIT + 1),
    "not JSON": file_of(b"{nope}"),
    "a list": file_of(b"[]"),
    "not UTF-8": file_of(b'{"\xff": 1}'),
    "a BOM": file_of(b"\xef\xbb\xbf{}"),
    "leading space": file_of(b" {}", b""),
    "nested deep": file_of(b'{"a":' * 5000 + b"1" + b"}" * 5000),
    "lists nested deep": file_of(b'{"a":' + b"[" * 70_000),
    "a key twice": file_of(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":1}'),
    "metadata not strings": file_of({"__metadata__": {"a": 1}}, b""),
    "metadata no map": file_of({"__metadata__": "x"}, b""),
    "unknown dtype": file_of(one(dtype="Q4")),
    "dtype no text": file_of(one(dtype=1)),
    "negative axis": file_of(one(shape=[-2])),
    "axis as float": file_of(one(shape=[2.0])),
    "axis true": file_of(one(shape=[True, 2])),
    "shape overflow": file_of(one(shape=[2**32, 2**32])),
    "shape beyond 2^64": file_of(one(shape=[2**40] * 8)),
    "huge axis": file_of(one(shape=[10**30])),
    "many axes": file_of(one(shape=[1] * 9 + [2])),
    "number of 5000 digits": file_of(b'{"a":{"dtype":"F32","shape":[' + b"9" * 5000 + b'],"data_offsets":[0,8]}}'),
    "NaN axis": file_of(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}'),
    "shape and offsets differ": file_of(one(shape=[3])),
    "offsets reversed": file_of(one(data_offsets=[8, 0])),
    "offsets negative": file_of(one(data_offsets=[-8, 0])),
    "offsets true": file_of(one(data_offsets=[False, 8])),
    "three offsets": file_of(one(data_offsets=[0, 4, 8])),
    "unknown field": file_of(one(extra=1)),
    "missing field": file_of({"a": {"dtype": "F32", "shape": [2]}}),
    "entry no object": file_of({"a": 5}),
    "name too long": file_of({"a" * 600: ONE["a"]}),
    "name with newline": file_of({"a\nb": ONE["a"]}),
    "empty name": file_of({"": ONE["a"]}),
    "overlap": file_of({**ONE, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}),
    "gap": file_of({**ONE, "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}}, b"\0" * 16),
    "gap at the start": file_of(one(data_offsets=[8, 16]), b"\0" * 16),
    "trailing byte": file_of(ONE, b"\0" * 9),
    "one byte short": file_of(ONE, b"\0" * 7),
    "half a byte": file_of({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, b"\0"),
    "100k entries": file_of({str(n): {} for n in range(100_000)}),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD.keys())
def test_a_bad_header_is_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(Invalid, match="is no valid safetensors file") as caught:
        parse(data)
    assert caught.value.reason is Reason.INVALID_ADAPTER
    assert len(caught.value.message) < 400


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_bytes_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    mutated = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 1))
        mutated[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=6))
        if not mutated:
            break
    try:
        tensors = parse(bytes(mutated))
    except Invalid:
        return
    assert sum(tensor.end - tensor.begin for tensor in tensors) <= len(mutated)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]),
        JSON
        | st.fixed_dictionaries(
            {"dtype": st.sampled_from(["F32", "BF16", "F4", "X"]), "shape": JSON, "data_offsets": JSON}
        ),
        max_size=3,
    )
)
def test_any_json_is_read_or_refused_and_nothing_else(header: dict[str, Any]) -> None:
    try:
        parse(file_of(header))
    except Invalid:
        return


def most_entries() -> bytes:
    entry = b'"%d":{"dtype":"F32","shape":[1,1,1,1,1,1],"data_offsets":[0,0]},'
    body = b"".join(entry % n for n in range(TENSOR_LIMIT))
    return file_of(b"{" + body[:-1] + b"}")


@pytest.mark.parametrize(
    "data",
    [
        most_entries(),
        file_of(b'{"a":[' + b"0," * 400_000 + b"0]}"),
        file_of(b'{"a":"' + b"x" * (HEADER_LIMIT - 8) + b'"}'),
        file_of(b"{" + b",".join(b'"%d":{}' % n for n in range(TENSOR_LIMIT)) + b"}"),
        file_of(b'{"a":[' + b"[]," * TENSOR_LIMIT * 2 + b"[]]}"),
        file_of(b'{"__metadata__":{' + b",".join(b'"%d":""' % n for n in range(500_000)) + b"}}"),
    ],
    ids=["tensors", "numbers", "text", "objects", "lists", "metadata"],
)
def test_the_worst_header_costs_little_memory_and_time(data: bytes) -> None:
    tracemalloc.start()
    began = time.monotonic()
    with pytest.raises(Invalid):
        parse(data)
    took, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 1024 * 1024
    assert took < 10  # tracing makes it many times slower than it is
