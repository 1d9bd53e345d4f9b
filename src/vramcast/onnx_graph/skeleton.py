"""An ONNX file without its weights: the protobuf message as it is, but for the data of tensors, which are stepped over.

onnx's own reader (1.23) takes in a whole file, up to 2 GB of weights in it. Here the file is mapped, and of its wire format
(protobuf.dev/programming-guides/encoding) only tags and lengths are read. Fields are those of `onnx.proto` (1.23). What a field claims is
held against what there is before it is believed, and a file can cost no more than `MOST_FIELDS` steps and `LARGEST_SKELETON` bytes.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from vramcast.errors import InvalidFileError
from vramcast.onnx_graph.stored_tensor import KEPT_DATA, check_tensor

MOST_FIELDS = 1_500_000
"""Fields that are looked at: about 25 an operator, where torch exported it; the largest language models have 20,000 operators."""
LARGEST_SKELETON = 2**27
"""Bytes that are left without weights, notes and documentation: about 600 an operator, where torch exported it."""
DEEPEST = 24
"""Subgraphs in subgraphs."""
LARGEST_TEXT = 2**16
"""Bytes of a name, a text attribute or a type."""

_COPY, _NOTE, _DATA = "copy", "note", "data"
_VALUE_INFO = {1: _COPY, 2: _COPY}
_SCHEMA: Mapping[str, Mapping[int, str]] = {
    "model": {1: _COPY, 2: _COPY, 3: _COPY, 4: _COPY, 5: _COPY, 7: "graph", 8: _COPY, 25: "function"},
    "graph": {1: "node", 2: _COPY, 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse"},
    "node": {1: _COPY, 2: _COPY, 3: _COPY, 4: _COPY, 5: "attribute", 7: _COPY, 8: _COPY, 9: _NOTE},
    "attribute": {
        1: _COPY, 2: _COPY, 3: _COPY, 4: _COPY, 5: "tensor", 6: "graph", 7: _COPY, 8: _COPY, 9: _COPY, 10: "tensor", 11: "graph", 20: _COPY,
        21: _COPY, 22: "sparse", 23: "sparse",
    },
    "function": {1: _COPY, 4: _COPY, 5: _COPY, 6: _COPY, 7: "node", 9: _COPY, 10: _COPY, 11: "attribute", 12: "value", 13: _COPY},
    "value": _VALUE_INFO,
    "tensor": {1: _COPY, 2: _COPY, 4: _DATA, 5: _DATA, 6: _DATA, 7: _DATA, 8: _COPY, 9: _DATA, 10: _DATA, 11: _DATA, 13: _COPY, 14: _COPY},
    "sparse": {1: "tensor", 2: "tensor", 3: _COPY},
}  # fmt: skip
"""What becomes of the fields of each message; one that is not named is left out: documentation, notes, training."""
_SCOPES = b"name_scopes"
"""Of the notes on an operator, those that name the modules around it (`pkg.torch.onnx.name_scopes`, torch 2.13)."""
_FIXED = {1: 8, 5: 4}
"""Bytes of the wire types that have a fixed length."""
_VARINT, _DELIMITED = 0, 2


def read_skeleton(path: Path) -> bytes:
    """Return the model message without the data of tensors above `KEPT_DATA` bytes.

    Raises:
        InvalidFileError: the file is no ONNX model, is cut off, or is beyond what a model can be.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _Filter(path, content).message("model", 0, len(content), 0)
    except (OSError, ValueError) as error:
        raise InvalidFileError(f"{path} cannot be read: {error}.") from None


class _Filter:
    """One walk through a file."""

    def __init__(self, path: Path, content: mmap.mmap) -> None:
        self._path, self._content = path, content
        self._fields = self._kept = 0

    def message(self, kind: str, start: int, end: int, depth: int) -> bytes:
        """Return one message, without what is left out of it."""
        depth += kind == "graph"
        if depth > DEEPEST:
            raise self._refusal(f"nests subgraphs more than {DEEPEST} deep")
        if kind == "tensor":
            check_tensor(self._path, self._content, start, end)
        fields, position, parts = _SCHEMA[kind], start, []
        while position < end:
            begin = position
            tag, position = self._varint(position, end)
            number, wire = tag >> 3, tag & 7
            body, position = self._body(wire, position, end)
            what = fields.get(number)
            if what is None or (what == _DATA and wire == _DELIMITED and position - body > KEPT_DATA):
                continue
            if what == _NOTE and _SCOPES not in self._content[body : min(position, body + 64)]:
                continue
            if what in (_COPY, _NOTE, _DATA):
                parts.append(self._copied(begin, body, position))
            elif wire == _DELIMITED:
                inner = self.message(what, body, position, depth)
                parts += [_encoded(tag), _encoded(len(inner)), inner]
            else:
                raise self._refusal(f"has a number where a {what} should be")
        return b"".join(parts)

    def _body(self, wire: int, position: int, end: int) -> tuple[int, int]:
        """Return where the content of a field begins and where it ends."""
        self._fields += 1
        if self._fields > MOST_FIELDS:
            raise self._refusal(f"has more than {MOST_FIELDS:,} fields, which no model needs")
        if wire == _VARINT:
            return position, self._varint(position, end)[1]
        if wire == _DELIMITED:
            length, position = self._varint(position, end)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise self._refusal("is no protobuf message")
        if length > end - position:
            raise self._refusal(f"is cut off: {length:,} bytes are announced where {end - position:,} are left")
        return position, position + length

    def _copied(self, begin: int, body: int, end: int) -> bytes:
        if end - body > LARGEST_TEXT:
            raise self._refusal(f"has a name, text or type of {end - body:,} bytes")
        self._kept += end - begin
        if self._kept > LARGEST_SKELETON:
            raise self._refusal(f"has more than {LARGEST_SKELETON:,} bytes beside its weights, which no model needs")
        return self._content[begin:end]

    def _varint(self, position: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while position < end and shift < 70:
            byte = self._content[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
            shift += 7
        raise self._refusal("is cut off or no protobuf message")

    def _refusal(self, what: str) -> InvalidFileError:
        return InvalidFileError(f"{self._path} is no valid ONNX model: it {what}.")


def _encoded(value: int) -> bytes:
    """Encode a number as protobuf's varint."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
