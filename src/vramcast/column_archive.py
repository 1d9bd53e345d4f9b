"""Archives of integer columns beside one JSON text: what traces and families are saved in.

The format: a zip archive as NumPy writes it (`.npz`, NumPy's `numpy/lib/format.py`), holding

    header                  uint8: the UTF-8 text of one JSON object
    other names             one-dimensional columns, each in the smallest integer type that holds its values

Nothing in it can be a pickle. What is declared in the archive is checked before it is unpacked: the parts may hold
`LARGEST_COLUMNS` and `LARGEST_HEADER` bytes; columns become `int64` on loading, so at most 8 times as much is held in memory.
"""

from __future__ import annotations

import io
import lzma
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from vramcast.atomic_file import write_atomically
from vramcast.errors import InvalidFileError
from vramcast.units import MIB, format_bytes
from vramcast.version import __version__

Value = TypeVar("Value")
Columns = dict[str, NDArray[np.int64]]

LARGEST_COLUMNS = 256 * MIB
"""A trace of 100,000 events has about 1 MiB."""
LARGEST_HEADER = 64 * MIB
_LZMA_MEMORY = 128 * MIB
"""What unpacking may take beside the result; the compressor's default level needs 9 MiB (liblzma, `lzma/container.h`)."""
_INTEGERS: tuple[np.dtype[Any], ...] = tuple(np.dtype(name) for name in ("u1", "i1", "u2", "i2", "u4", "i4", "i8"))


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """What every header begins with."""

    format: str
    version: int
    """Raised when a file of the new kind would be misread by an older reader."""


def save_columns(path: str | os.PathLike[str], header: Stamp, columns: Mapping[str, NDArray[np.int64]]) -> None:
    """Write header and columns to a file.

    Raises:
        OutputError: the path cannot be written; nothing half-written is left there.
    """
    write_atomically(path, lambda file: _write(file, header, columns, np.savez_compressed))


def encode_columns(header: Stamp, columns: Mapping[str, NDArray[np.int64]]) -> bytes:
    """Return header and columns as bytes to be kept inside another file: the same archive, compressed as one piece by LZMA.

    Columns that resemble each other are packed together that way.
    """
    plain = io.BytesIO()
    _write(plain, header, columns, np.savez)
    return lzma.compress(plain.getvalue())


def _write(file: IO[bytes], header: Stamp, columns: Mapping[str, NDArray[np.int64]], save: Callable[..., None]) -> None:
    parts: dict[str, Any] = {name: _smallest(column) for name, column in columns.items()}
    save(file, header=np.frombuffer(msgspec.json.encode(header), np.uint8), **parts)


def load_columns(path: str | os.PathLike[str], kind: str, stamp: Stamp, read: Callable[[bytes, Columns], Value]) -> Value:
    """Read a file that `save_columns` wrote, and make a value of its header and columns.

    `kind` is what it should be, in words, and `stamp` its format and the newest version that can be read.

    Raises:
        InvalidFileError: there is no such file, it is none of these, damaged, over the limits, or of a newer version.
    """
    if not Path(path).is_file():
        raise InvalidFileError(f"{str(path)!r} is not a file. Name one that vramcast wrote as a {kind}.")
    try:
        with zipfile.ZipFile(path) as archive:
            return read(*_read(archive, kind, stamp))
    except InvalidFileError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a {kind}: {error}") from error
    # A damaged archive raises what zipfile, zlib and NumPy's header parser please.
    except Exception as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a {kind}: it is damaged ({error}). Write it again.") from error


def decode_columns(data: bytes, kind: str, stamp: Stamp, read: Callable[[bytes, Columns], Value]) -> Value:
    """Read what `encode_columns` returned; what it declares is checked as in `load_columns`.

    Raises:
        InvalidFileError: the bytes are damaged, over the limits, or of a newer version.
    """
    try:
        plain = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY).decompress(data, LARGEST_COLUMNS + LARGEST_HEADER)
        with zipfile.ZipFile(io.BytesIO(plain)) as archive:
            return read(*_read(archive, kind, stamp))
    except InvalidFileError as error:
        raise InvalidFileError(f"the {kind} inside cannot be read: {error}") from error
    # A damaged archive raises what lzma, zipfile and NumPy's header parser please.
    except Exception as error:
        raise InvalidFileError(f"the {kind} inside cannot be read: it is damaged ({error}).") from error


def _read(archive: zipfile.ZipFile, kind: str, stamp: Stamp) -> tuple[bytes, Columns]:
    parts = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
    if "header" not in parts:
        raise InvalidFileError("it has no header.npy.")
    header = parts.pop("header")
    _check_declared(header.file_size, LARGEST_HEADER, kind)
    text = _read_array(archive, header, kind).tobytes()
    found = msgspec.json.decode(text, type=Stamp)
    if found.format != stamp.format:
        raise InvalidFileError(f"its format is {found.format[:80]!r}, not {stamp.format!r}.")
    if found.version > stamp.version:
        raise InvalidFileError(
            f"it is of version {found.version}; this vramcast ({__version__}) reads up to {stamp.version}. Update vramcast, or trace again."
        )
    _check_declared(sum(part.file_size for part in parts.values()), LARGEST_COLUMNS, kind)
    return text, {name: _read_array(archive, part, kind).astype(np.int64) for name, part in parts.items()}


def check_names(columns: Columns, expected: tuple[str, ...], kind: str) -> None:
    """Refuse a file with other columns than expected.

    Raises:
        InvalidFileError: it has others.
    """
    if set(columns) != set(expected):
        raise InvalidFileError(f"it holds {_files(sorted(columns)[:20])}; a {kind} holds {_files(expected)}.")


def _files(names: Iterable[str]) -> str:
    return ", ".join(f"{name}.npy" for name in ("header", *names))


def _check_declared(size: int, limit: int, kind: str) -> None:
    if size > limit:
        raise InvalidFileError(f"it declares {format_bytes(size)}, more than the {format_bytes(limit)} a {kind} may take.")


def _read_array(archive: zipfile.ZipFile, part: zipfile.ZipInfo, kind: str) -> NDArray[np.integer[Any]]:
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
        _check_declared(size, part.file_size, kind)
        data = member.read(size)
        if len(data) != size or member.read(1):
            raise InvalidFileError(f"{part.filename} does not hold the {shape[0]} values it declares.")
    return np.frombuffer(data, dtype)


def _smallest(column: NDArray[np.int64]) -> NDArray[np.integer[Any]]:
    """Return the column in the smallest type that holds its values."""
    low, high = int(column.min(initial=0)), int(column.max(initial=0))
    return column.astype(next(dtype for dtype in _INTEGERS if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max))
