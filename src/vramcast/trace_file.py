"""Traces in files: written once, replayed later without torch.

The format: a zip archive as NumPy writes it (`.npz`, NumPy's `numpy/lib/format.py`), holding

    header                  uint8: the UTF-8 text of one JSON object, see `_Header`
    kinds, blocks, …        the columns of `Trace` by their names, one-dimensional, each in the smallest integer type that
                            holds its values

Nothing in it can be a pickle. What is declared in the archive is checked before it is unpacked: the parts may hold
`LARGEST_COLUMNS` and `LARGEST_HEADER` bytes; columns become `int64` on loading, so at most 8 times as much is held in memory.
JSON has no infinity and no tuples: among an operator call's attributes such floats are written as `{"float": "inf"}`, and
lists are read as tuples.
"""

from __future__ import annotations

import io
import lzma
import math
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from vramcast.atomic_file import write_atomically
from vramcast.errors import InvalidFileError
from vramcast.trace import Caveat, Column, Component, Event, OperatorCall, Phase, Subject, Trace
from vramcast.units import MIB, format_bytes
from vramcast.version import __version__

FORMAT = "vramcast/trace"
VERSION = 1
"""Raised when a file of the new kind would be misread by an older reader."""
LARGEST_COLUMNS = 256 * MIB
"""A trace of 100,000 events has about 1 MiB."""
LARGEST_HEADER = 64 * MIB
_LZMA_MEMORY = 128 * MIB
"""What unpacking may take beside the result; the compressor's default level needs 9 MiB (liblzma, `lzma/container.h`)."""

_EVENTS = ("kinds", "blocks", "operations")
_BLOCKS = ("sizes", "components", "streams", "block_modules")
_OPERATIONS = ("operation_operators", "operation_modules", "operation_phases")
_COLUMNS = _EVENTS + _BLOCKS + _OPERATIONS
_INTEGERS: tuple[np.dtype[Any], ...] = tuple(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4", "i8"))


class _Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What every version of the header has."""

    format: str
    version: int


class _Header(_Stamp, frozen=True, kw_only=True):
    """All of a trace but its columns."""

    vramcast: str
    """The version that wrote it."""
    subject: Subject
    operators: tuple[str, ...]
    modules: tuple[str, ...]
    phases: tuple[Phase, ...]
    calls: dict[int, OperatorCall]
    caveats: tuple[Caveat, ...]


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write the trace to a file.

    Raises:
        OutputError: the path cannot be written; nothing half-written is left there.
    """
    write_atomically(path, lambda file: _write(trace, file, np.savez_compressed))


def encode_trace(trace: Trace) -> bytes:
    """Return the trace as bytes to be kept inside another file: the same archive, unpacked and compressed as one piece by LZMA.

    Columns that resemble each other are packed together that way; 10,000 events take 15 to 30 KiB.
    """
    plain = io.BytesIO()
    _write(trace, plain, np.savez)
    return lzma.compress(plain.getvalue())


def decode_trace(data: bytes) -> Trace:
    """Read what `encode_trace` returned; what it declares is checked as in `load_trace`.

    Raises:
        InvalidFileError: the bytes are damaged, over the limits, or of a newer version.
    """
    try:
        plain = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(data, LARGEST_COLUMNS + LARGEST_HEADER)
        with zipfile.ZipFile(io.BytesIO(plain)) as archive:
            return _read(archive)
    except InvalidFileError as error:
        raise InvalidFileError(f"the trace inside cannot be read: {error}") from error
    # A damaged archive raises what lzma, zipfile and NumPy's header parser please.
    except Exception as error:
        raise InvalidFileError(f"the trace inside cannot be read: it is damaged ({error}).") from error


def _write(trace: Trace, file: IO[bytes], save: Callable[..., None]) -> None:
    header = _Header(
        format=FORMAT,
        version=VERSION,
        vramcast=__version__,
        subject=trace.subject,
        operators=trace.operators,
        modules=trace.modules,
        phases=trace.phases,
        calls={operation: _to_json(call) for operation, call in trace.calls.items()},
        caveats=trace.caveats,
    )
    columns: dict[str, Any] = {name: _smallest(getattr(trace, name)) for name in _COLUMNS}
    text = np.frombuffer(msgspec.json.encode(header), np.uint8)
    save(file, header=text, **columns)


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace that `save_trace` wrote.

    Raises:
        InvalidFileError: there is no such file, it is none of these, damaged, over the limits, or of a newer version.
    """
    if not Path(path).is_file():
        raise InvalidFileError(f"{str(path)!r} is not a file. Name one that vramcast wrote as a trace.")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read(archive)
    except InvalidFileError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a trace: {error}") from error
    # A damaged archive raises what zipfile, zlib and NumPy's header parser please.
    except Exception as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a trace: it is damaged ({error}). Write it again.") from error


def _read(archive: zipfile.ZipFile) -> Trace:
    parts = {info.filename: info for info in archive.infolist()}
    header = _read_header(archive, parts)
    if set(parts) != {_part("header"), *map(_part, _COLUMNS)}:
        raise InvalidFileError(f"it holds {', '.join(sorted(parts)[:20])}; a trace holds header.npy and {', '.join(map(_part, _COLUMNS))}.")
    _check_declared(sum(parts[_part(name)].file_size for name in _COLUMNS), LARGEST_COLUMNS)
    columns = {name: _read_array(archive, parts[_part(name)]).astype(np.int64) for name in _COLUMNS}
    trace = Trace(
        subject=header.subject,
        **columns,
        operators=header.operators,
        modules=header.modules,
        phases=header.phases,
        calls={operation: _from_json(call) for operation, call in header.calls.items()},
        caveats=header.caveats,
    )
    _check_trace(trace)
    return trace


def _part(name: str) -> str:
    return f"{name}.npy"


def _check_declared(size: int, limit: int) -> None:
    if size > limit:
        raise InvalidFileError(f"it declares {format_bytes(size)}, more than the {format_bytes(limit)} a trace may take.")


def _read_header(archive: zipfile.ZipFile, parts: Mapping[str, zipfile.ZipInfo]) -> _Header:
    if _part("header") not in parts:
        raise InvalidFileError("it has no header.npy.")
    _check_declared(parts[_part("header")].file_size, LARGEST_HEADER)
    text = _read_array(archive, parts[_part("header")]).tobytes()
    stamp = msgspec.json.decode(text, type=_Stamp)
    if stamp.format != FORMAT:
        raise InvalidFileError(f"its format is {stamp.format[:80]!r}, not {FORMAT!r}.")
    if stamp.version > VERSION:
        raise InvalidFileError(
            f"it is of version {stamp.version}; this vramcast ({__version__}) reads up to {VERSION}. Update vramcast, or trace again."
        )
    return msgspec.json.decode(text, type=_Header)


def _read_array(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> NDArray[np.integer[Any]]:
    """Unpack one part, never more bytes than it declares."""
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InvalidFileError(f"{part.filename} is compressed in another way than NumPy does it.")
    with archive.open(part) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise InvalidFileError(f"{part.filename} is of version {version} of the .npy format; expected (1, 0).")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        if len(shape) != 1 or dtype.kind not in "iu" or not np.can_cast(dtype, np.int64):
            raise InvalidFileError(f"{part.filename} holds {dtype} of shape {shape}; expected one dimension of integers.")
        size = shape[0] * dtype.itemsize
        _check_declared(size, part.file_size)
        data = member.read(size)
        if len(data) != size or member.read(1):
            raise InvalidFileError(f"{part.filename} does not hold the {shape[0]} values it declares.")
    return np.frombuffer(data, dtype)


def _check_trace(trace: Trace) -> None:
    """Refuse a trace whose columns do not belong together, or whose numbers mean nothing."""
    for table in (_EVENTS, _BLOCKS, _OPERATIONS):
        lengths = {name: len(getattr(trace, name)) for name in table}
        if len(set(lengths.values())) > 1:
            raise InvalidFileError(f"its columns differ in length: {lengths}.")
    emptying = trace.empties_cache
    _require(bool(np.all(trace.blocks[emptying] == -1)) and _below(trace.blocks[~emptying], len(trace.sizes)), "blocks")
    _require(_below(trace.kinds, len(Event)), "kinds")
    _require(_below(trace.components, len(Component)), "components")
    _require(all(0 <= operation < len(trace.operation_operators) for operation in trace.calls), "calls")
    try:
        trace.validate()
    except ValueError as error:
        raise InvalidFileError(f"{error}.") from error


def _below(column: Column, limit: int) -> bool:
    return not len(column) or (int(column.min()) >= 0 and int(column.max()) < limit)


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise InvalidFileError(f"its {name} point to what does not exist.")


def _smallest(column: Column) -> NDArray[np.integer[Any]]:
    """Return the column in the smallest type that holds its values."""
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    return column.astype(next(dtype for dtype in _INTEGERS if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max))


def _to_json(call: OperatorCall) -> OperatorCall:
    return replace(call, attributes={name: _plain(value) for name, value in call.attributes.items()})


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _from_json(call: OperatorCall) -> OperatorCall:
    return replace(call, attributes={name: _original(value) for name, value in call.attributes.items()})


def _original(value: object) -> object:
    if isinstance(value, dict):
        return float(value["float"])
    if isinstance(value, list):
        return tuple(_original(item) for item in value)
    return value
