"""A side of a comparison from a file of any kind that has figures: told by its first bytes, read without executing anything in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.comparison.side import Side, of_estimate, of_measurement, of_trace
from vramcast.errors import InvalidFileError
from vramcast.footprint import Estimate
from vramcast.measurement import SCHEMA
from vramcast.measurement_file import LARGEST_READ, decode_measurement
from vramcast.snapshot import load_peak_reserved, load_snapshot
from vramcast.trace import Trace
from vramcast.trace_file import load_trace
from vramcast.units import format_bytes

TraceAgain = Callable[[Estimate], Trace | None]
"""Traces what an estimate was made of, since its JSON holds no events; None where that gives other figures than its own."""

_PICKLE, _ZIP = b"\x80", b"PK\x03\x04"
_NOT_AGAIN = "Traced again, the forecast has other figures than the file; its events are left out."


def read_side(path: Path, allocator: str, trace_again: TraceAgain) -> Side:
    """Read a forecast (JSON, snapshot, trace) or a measurement (JSON, snapshot); `allocator` is the setting of bare snapshots and traces.

    Raises:
        InvalidFileError: it is none of these, or damaged.
        ForecastError: what a forecast's JSON describes cannot be traced again.
    """
    start = _start(path)
    config = AllocatorConfig.parse(allocator)
    if start.startswith(_PICKLE):
        return of_trace(load_snapshot(path), load_peak_reserved(path), str(path), config)
    if start.startswith(_ZIP):
        trace = load_trace(path)
        return of_trace(trace, replay(trace, config).peak_reserved, str(path), config)
    if start.lstrip().startswith(b"{"):
        return _read_json(path, trace_again)
    raise InvalidFileError(f"{str(path)!r} is neither JSON of `vramcast estimate` or `vramcast measure`, nor a memory snapshot, nor a trace.")


def _start(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(16)
    except OSError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read: {error.strerror}.") from error


def _read_json(path: Path, trace_again: TraceAgain) -> Side:
    if path.stat().st_size > LARGEST_READ:
        raise InvalidFileError(f"{str(path)!r} is larger than any forecast or measurement ({format_bytes(LARGEST_READ)}).")
    text = path.read_bytes()
    try:
        if msgspec.json.decode(text, type=dict[str, Any]).get("schema") == SCHEMA:
            return of_measurement(decode_measurement(text, str(path)), str(path))
        estimate = msgspec.json.decode(text, type=Estimate)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{str(path)!r} is neither a forecast nor a measurement: {error}.") from error
    trace = trace_again(estimate)
    side = of_estimate(estimate, trace, str(path))
    return side if trace is not None else replace(side, notes=(*side.notes, _NOT_AGAIN))
