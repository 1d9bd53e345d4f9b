"""The headers of safetensors files, read by the format's own library, which holds them against the file before anything is believed.

Of a model in several files, the index (`model.safetensors.index.json`) names them; they lie beside it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from vramcast.errors import InvalidFileError, MissingExtraError
from vramcast.stored_weights.interface import StoredTensor, StoredWeights

INDEX = ".safetensors.index.json"
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
"""Bits of an element (safetensors 0.8, `Dtype`)."""
_LARGEST_INDEX = 2**26


def read_safetensors(path: Path) -> StoredWeights:
    """Read the header of one file, or of all that an index names.

    Raises:
        InvalidFileError: a file that is absent, damaged, or outside the index's folder.
        MissingExtraError: safetensors is not installed.
    """
    if not path.name.endswith(INDEX):
        return StoredWeights(path.stem, _tensors(path))
    found = [tensor for part in _parts(path) for tensor in _tensors(part)]
    return StoredWeights(path.name.removesuffix(INDEX), tuple(found))


def _parts(index: Path) -> list[Path]:
    try:
        if index.stat().st_size > _LARGEST_INDEX:
            raise InvalidFileError(f"{index} has {index.stat().st_size:,} bytes; an index may have {_LARGEST_INDEX:,}.")
        names = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
        unique = sorted(dict.fromkeys(str(name) for name in names))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidFileError(f"{index} cannot be read as an index of safetensors files: {error}") from None
    outside = [name for name in unique if Path(name).name != name]
    if outside:
        raise InvalidFileError(f"{index} names {outside[0]!r}; its files must lie beside it.")
    return [index.parent / name for name in unique]


def _tensors(path: Path) -> tuple[StoredTensor, ...]:
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        raise MissingExtraError("safetensors", "zoo", f"reading {path.name}") from None
    try:
        with safe_open(str(path), framework="numpy") as file:
            return tuple(_tensor(path, name, file.get_slice(name)) for name in file.keys())  # noqa: SIM118 - the library's file is no mapping
    except FileNotFoundError:
        raise InvalidFileError(f"there is no file {path}.") from None
    except (OSError, SafetensorError) as error:
        raise InvalidFileError(f"{path} cannot be read as a safetensors file: {error}") from None


def _tensor(path: Path, name: str, tensor: Any) -> StoredTensor:
    shape, kind = tuple(tensor.get_shape()), str(tensor.get_dtype())
    if kind not in _BITS:
        raise InvalidFileError(f"{path}: tensor {name!r} is of type {kind}, which is not known. Known: {', '.join(_BITS)}.")
    return StoredTensor(name, shape, kind, -(-math.prod(shape) * _BITS[kind] // 8))
