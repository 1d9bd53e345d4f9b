"""The header of a GGUF file.

Format: ggml's `docs/gguf.md`, version 2 and 3. A header says how much follows; here nothing is read or skipped beyond the end of the file, and
counts are held against its size before they are believed, so that a false one ends in an error at once. Values of lists are not kept.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vramcast.errors import InvalidFileError
from vramcast.gguf_types import GGUF_BLOCKS
from vramcast.stored_weights.interface import StoredTensor, StoredWeights

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K",
    16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 29: "IQ1_M", 30: "BF16",
    34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
"""`GGMLQuantizationType`, gguf-py 0.19."""
_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _LIST = 8, 9
"""`GGUFValueType`, gguf-py 0.19."""
_LEAST_ENTRY, _LEAST_TENSOR = 8 + 1 + 4 + 1, 8 + 1 + 4 + 8 + 4 + 8
"""Bytes of the smallest key with its value, and of the smallest description of a tensor."""
_MOST_DIMENSIONS = 4
"""`GGML_MAX_DIMS`."""
_LONGEST_NAME = 2**16
_DEEPEST_LIST = 4


def read_gguf(path: Path) -> StoredWeights:
    """Read what the header says.

    Raises:
        InvalidFileError: it is no GGUF file, or one that says of itself what cannot be.
    """
    try:
        with path.open("rb") as file:
            return _Header(file, path).read()
    except OSError as error:
        raise InvalidFileError(f"{path} cannot be read: {error}") from None


class _Header:
    """Reads a file from front to back, and never more than it has."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path
        self._size = path.stat().st_size

    def read(self) -> StoredWeights:
        if self._file.read(4) != MAGIC:
            raise InvalidFileError(f"{self._path} is no GGUF file: it does not begin with {MAGIC.decode()}.")
        version = self._number("<I")
        if version not in _VERSIONS:
            raise InvalidFileError(f"{self._path} is of GGUF version {version}; versions {_VERSIONS[0]} and {_VERSIONS[1]} can be read.")
        tensors = self._count("tensors", _LEAST_TENSOR)
        entries = self._count("keys", _LEAST_ENTRY)
        settings = {self._text(): self._value(int(self._number("<I"))) for _ in range(entries)}
        return StoredWeights(self._path.stem, tuple(self._tensor() for _ in range(tensors)), settings)

    def _tensor(self) -> StoredTensor:
        name = self._text()
        dimensions = int(self._number("<I"))
        if not 1 <= dimensions <= _MOST_DIMENSIONS:
            raise InvalidFileError(f"{self._path}: tensor {name!r} has {dimensions} dimensions; it may have 1 to {_MOST_DIMENSIONS}.")
        shape = tuple(int(self._number("<Q")) for _ in range(dimensions))[::-1]  # the file has the fastest dimension first
        number = int(self._number("<I"))
        self._number("<Q")  # where its values are
        kind = _TYPES.get(number)
        if kind is None:
            raise InvalidFileError(f"{self._path}: tensor {name!r} is of type {number}, which is not known. Known: {', '.join(_TYPES.values())}.")
        values, block = GGUF_BLOCKS[kind]
        size = math.prod(shape[:-1]) * -(-shape[-1] // values) * block
        if not 0 < size <= self._size:
            raise InvalidFileError(f"{self._path}: tensor {name!r} of shape {shape} would have {size:,} bytes, more than the file.")
        return StoredTensor(name, shape, kind, size)

    def _value(self, kind: int, depth: int = 0) -> object:
        if kind in _NUMBERS:
            return self._number(_NUMBERS[kind])
        if kind == _TEXT:
            return self._text(longest=self._size)
        if kind != _LIST or depth == _DEEPEST_LIST:
            raise InvalidFileError(f"{self._path}: a value of type {kind} cannot be read.")
        return self._skipped_list(depth)

    def _skipped_list(self, depth: int) -> int:
        """Pass over a list and return its length."""
        kind = int(self._number("<I"))
        if kind in _NUMBERS:
            width = struct.calcsize(_NUMBERS[kind])
            length = self._count("values", width)
            self._file.seek(length * width, 1)
            return length
        length = self._count("values", 8)
        skip: Callable[[], object] = self._skip_text if kind == _TEXT else lambda: self._value(kind, depth + 1)
        for _ in range(length):
            skip()
        return length

    def _text(self, longest: int = _LONGEST_NAME) -> str:
        length = self._count("characters", 1)
        if length > longest:
            raise InvalidFileError(f"{self._path}: a name of {length:,} bytes; it may have {longest:,}.")
        return self._bytes(length).decode("utf-8", "replace")

    def _skip_text(self) -> None:
        self._file.seek(self._count("characters", 1), 1)

    def _count(self, of: str, least: int) -> int:
        """Read a number of things that take at least so many bytes each."""
        count = int(self._number("<Q"))
        if count * least > self._size - self._file.tell():
            raise InvalidFileError(
                f"{self._path} says that {count:,} {of} follow, more than its {self._size:,} bytes can hold; it is cut off or damaged."
            )
        return count

    def _number(self, form: str) -> int | float:
        (number,) = struct.unpack(form, self._bytes(struct.calcsize(form)))
        return number  # type: ignore[no-any-return]

    def _bytes(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) < count:
            raise InvalidFileError(f"{self._path} ends within its header; it is cut off.")
        return found
