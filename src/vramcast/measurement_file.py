"""Measurements in files: one JSON object each, under `LARGEST_FILE` bytes as written."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.errors import InvalidFileError
from vramcast.measurement import SCHEMA, Failure, Measurement
from vramcast.trace import Trace
from vramcast.trace_file import encode_trace
from vramcast.units import MIB, format_bytes

LARGEST_FILE = 200 * 10**3
"""A campaign of several hundred cases stays small enough to be kept with the code that is judged by it."""
LARGEST_READ = 64 * MIB
FAILED = ".failed.json"
"""How the names of files end that hold a `Failure`."""


class _Stamp(msgspec.Struct):
    schema: str = ""


def with_trace(measurement: Measurement, trace: Trace | None) -> Measurement:
    """Return the measurement with its trace, or with a note where the trace is too large for the file."""
    if trace is None:
        return measurement
    packed = encode_trace(trace)
    complete = msgspec.structs.replace(measurement, trace=packed, notes=(*measurement.notes, *(caveat.message for caveat in trace.caveats)))
    if len(encode(complete)) <= LARGEST_FILE:
        return complete
    note = f"The trace ({len(trace):,} events, {format_bytes(len(packed))}) is left out: with it the file would be over {LARGEST_FILE:,} bytes."
    return msgspec.structs.replace(measurement, notes=(*measurement.notes, note))


def encode(measurement: Measurement) -> bytes:
    """Return the measurement as JSON in UTF-8, ending in a line break."""
    return msgspec.json.format(msgspec.json.encode(measurement), indent=1) + b"\n"


def save_measurement(measurement: Measurement, path: str | os.PathLike[str]) -> None:
    """Write the measurement. Raises `OutputError` when the path cannot be written; nothing half-written is left there."""
    write_atomically(path, lambda file: file.write(encode(measurement)))


def load_measurement(path: str | os.PathLike[str]) -> Measurement:
    """Read what `save_measurement` wrote.

    Raises:
        InvalidFileError: no such file, not one of these, or of another version.
    """
    return decode_measurement(_read(path), str(path))


def load_failure(path: str | os.PathLike[str]) -> Failure:
    """Read what a campaign wrote in place of a measurement. Raises `InvalidFileError`."""
    try:
        return msgspec.json.decode(_read(path), type=Failure)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a failed measurement: {error}.") from error


def decode_measurement(text: bytes, name: str) -> Measurement:
    """Read a measurement from its JSON; `name` is for messages. Raises `InvalidFileError`."""
    try:
        stamp = msgspec.json.decode(text, type=_Stamp)
        if stamp.schema != SCHEMA:
            raise InvalidFileError(f"{name!r} is no measurement this version reads: its schema is {stamp.schema[:80]!r}, expected {SCHEMA!r}.")
        return msgspec.json.decode(text, type=Measurement)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{name!r} cannot be read as a measurement: {error}.") from error


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        if os.path.getsize(path) > LARGEST_READ:
            raise InvalidFileError(f"{str(path)!r} is larger than any measurement ({format_bytes(LARGEST_READ)}).")
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidFileError(f"measurement {str(path)!r} cannot be read: {error.strerror or error}.") from error
