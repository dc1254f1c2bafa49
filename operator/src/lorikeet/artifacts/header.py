"""The header of a safetensors file, parsed strictly: names, types and shapes of its tensors, no byte of their data.

The format (https://github.com/huggingface/safetensors#format): a little-endian 64-bit length, a JSON object of that
length, then the data. Tensors must lie in the data without gap or overlap, from its first byte to its last.
"""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from lorikeet.api.conditions import Reason
from lorikeet.artifacts import strict_json
from lorikeet.artifacts.errors import Invalid

HEADER_LIMIT = 8 * 1024 * 1024  # bytes
TENSOR_LIMIT = 40_000  # tensors; with HEADER_LIMIT it bounds the parser's memory under 64 MB
NAME_LIMIT = 512  # characters
AXES_LIMIT = 8
AXIS_LIMIT = 1 << 40
LENGTH = struct.Struct("<Q")
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its place is [begin, end) in bytes from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_header(path: Path) -> tuple[Tensor, ...]:
    """The tensors of the file at `path`, in the order of their data. Raises Invalid (InvalidAdapter)."""
    with path.open("rb") as file:
        return parse_header(file, os.fstat(file.fileno()).st_size, path.name)


def parse_header(file: BinaryIO, size: int, name: str = "the file") -> tuple[Tensor, ...]:
    """As read_header, from an open file of `size` bytes. Reads the header only. Raises Invalid."""
    try:
        return _parse(file, size)
    except ValueError as error:
        raise Invalid(Reason.INVALID_ADAPTER, f"{name} is no valid safetensors file: {error}") from error


def _parse(file: BinaryIO, size: int) -> tuple[Tensor, ...]:
    text = _header_text(file, size)
    entries = strict_json.parse_object(text)
    _check_metadata(entries.pop("__metadata__", None))
    start = LENGTH.size + len(text)
    tensors = sorted(
        (_tensor(name, entry, start) for name, entry in entries.items()), key=lambda tensor: (tensor.begin, tensor.end)
    )
    _check_layout(tensors, start, size)
    return tuple(tensors)


def _header_text(file: BinaryIO, size: int) -> bytes:
    word = file.read(LENGTH.size)
    if len(word) < LENGTH.size:
        raise ValueError("it is shorter than its length word")
    (length,) = LENGTH.unpack(word)
    if length > HEADER_LIMIT:
        raise ValueError(f"its header claims {length} bytes, more than {HEADER_LIMIT}")
    if length > size - LENGTH.size:
        raise ValueError(f"its header claims {length} bytes, but the file has {size}")
    text = file.read(length)
    if len(text) != length:
        raise ValueError("its header is cut short")
    _check_amount(text)
    return text


def _check_amount(text: bytes) -> None:
    """Before any JSON is parsed: each tensor costs few of these signs; more is an attack on memory."""
    if not text.startswith(b"{"):
        raise ValueError("its header does not start with {")
    budget = TENSOR_LIMIT + 2
    most = {b"{": budget, b"[": 2 * budget, b":": 5 * budget, b",": (6 + AXES_LIMIT) * budget}
    if any(text.count(sign) > count for sign, count in most.items()):
        raise ValueError(f"its header has more than {TENSOR_LIMIT} tensors")


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its __metadata__ is not a map of strings")


def _tensor(name: str, entry: Any, start: int) -> Tensor:
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise ValueError(f"tensor {name[:80]!r} has no legal name")
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)]} if len(entry) == 3:
            pass
        case _:
            raise ValueError(f"the entry of tensor {name[:80]!r} is malformed")
    if type(begin) is bool or type(end) is bool or not 0 <= begin <= end:
        raise ValueError(f"tensor {name[:80]!r} has impossible offsets")
    if end - begin != _size(name, dtype, shape):
        raise ValueError(f"the offsets of tensor {name[:80]!r} do not match its shape")
    return Tensor(name, dtype, tuple(shape), start + begin, start + end)


def _size(name: str, dtype: str, shape: list[Any]) -> int:
    """Bytes of a tensor. Axes are bounded before they are multiplied, so a product cannot grow without end."""
    if dtype not in BITS:
        raise ValueError(f"tensor {name[:80]!r} has the unknown type {dtype[:20]!r}")
    if len(shape) > AXES_LIMIT or not all(type(axis) is int and 0 <= axis <= AXIS_LIMIT for axis in shape):
        raise ValueError(f"tensor {name[:80]!r} has an impossible shape")
    bits: int = math.prod(shape) * BITS[dtype]
    if bits % 8:
        raise ValueError(f"tensor {name[:80]!r} does not end on a byte")
    return bits // 8


def _check_layout(tensors: list[Tensor], start: int, size: int) -> None:
    at = start
    for tensor in tensors:
        if tensor.begin != at:
            how = "overlaps another" if tensor.begin < at else "leaves a gap before it"
            raise ValueError(f"tensor {tensor.name[:80]!r} {how}")
        at = tensor.end
    if at != size:
        raise ValueError(f"its tensors end at byte {at}, but the file has {size}")
