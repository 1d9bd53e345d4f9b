"""Does a tensor in an ONNX file hold what it says it holds? Told by lengths alone; data are never read."""

from __future__ import annotations

import math
import mmap
from pathlib import Path

from vramcast.errors import InvalidFileError

KEPT_DATA = 2**13
"""Bytes of a tensor up to which its data are kept: 1,024 int64 numbers."""
LARGEST_ELEMENTS = 2**56
"""Elements of a tensor beyond which its bytes, or a sum of a few such tensors, are no 64-bit number."""
MOST_DIMENSIONS = 64
_MOST_FIELDS = 2**14
"""Fields of one tensor: dimensions, and data where a writer did not pack them."""

_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8,
    21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2, 27: 6, 28: 6,
}  # fmt: skip
"""Bits of an element by `TensorProto.DataType` (`onnx.proto`, 1.23); strings (8) have no width."""
_STRING = 8
_DIMS, _TYPE, _FLOATS, _RAW, _DOUBLES, _EXTERNAL = 1, 2, 4, 9, 10, 13
_DATA = (4, 5, 6, 7, 9, 10, 11)


def check_tensor(path: Path, content: mmap.mmap, start: int, end: int) -> None:
    """Hold type, dimensions and stored bytes of one `TensorProto` against each other.

    Raises:
        InvalidFileError: they do not go together, or are beyond what can be counted.
    """
    dims, kind, stored, is_external = _read(path, content, start, end)
    if kind not in _BITS and kind != _STRING:
        raise _refusal(path, f"a tensor of the unknown type {kind}")
    if len(dims) > MOST_DIMENSIONS or any(not 0 <= side < 2**63 for side in dims) or math.prod(dims) > LARGEST_ELEMENTS:
        raise _refusal(path, f"a tensor of shape {'x'.join(map(str, dims[:8]))}{'x…' if len(dims) > 8 else ''}")
    elements = math.prod(dims)
    if kind == _STRING or is_external or not elements:
        return
    if not stored:
        raise _refusal(path, f"a tensor of {elements:,} elements without data")
    expected = {_RAW: -(-elements * _BITS[kind] // 8), _FLOATS: elements * 4 * (2 if kind == 14 else 1), _DOUBLES: elements * 8}
    for field, size in stored.items():
        if field in expected and (field == _RAW or kind in (1, 11, 14)) and size != expected[field]:
            raise _refusal(path, f"a tensor of {expected[field]:,} bytes that stores {size:,}")


def _read(path: Path, content: mmap.mmap, start: int, end: int) -> tuple[list[int], int, dict[int, int], bool]:
    """Return dimensions, type, bytes by field of data, and whether the data lie in another file. Lengths have not been checked before."""
    dims: list[int] = []
    kind, stored, is_external, position, fields = 0, dict[int, int](), False, start, 0
    while position < end:
        fields += 1
        if fields > _MOST_FIELDS:
            raise _refusal(path, f"a tensor of more than {_MOST_FIELDS:,} fields")
        tag, position = _varint(content, position, end)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, position = _varint(content, position, end)
            if number == _DIMS and len(dims) <= MOST_DIMENSIONS:
                dims.append(value)
            kind = value if number == _TYPE else kind
            length = 1
        else:
            length, position = _varint(content, position, end) if wire == 2 else ({1: 8, 5: 4}.get(wire, end), position)
            length = min(length, end - position)
            if number == _DIMS:
                dims += _packed(content, position, position + length)
            position += length
        if number in _DATA:
            stored[number] = stored.get(number, 0) + length
        is_external = is_external or number == _EXTERNAL
    return dims, kind, stored, is_external


def _packed(content: mmap.mmap, position: int, end: int) -> list[int]:
    found: list[int] = []
    while position < end and len(found) <= MOST_DIMENSIONS:
        value, position = _varint(content, position, end)
        found.append(value)
    return found


def _varint(content: mmap.mmap, position: int, end: int) -> tuple[int, int]:
    """Return a number and what follows it; at the end of the message whatever there is, as the reader of the whole file refuses it later."""
    value = shift = 0
    while position < end:
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << min(shift, 70)
        if byte < 0x80:
            break
        shift += 7
    return value, position


def _refusal(path: Path, what: str) -> InvalidFileError:
    return InvalidFileError(f"{path} is no valid ONNX model: it has {what}.")
