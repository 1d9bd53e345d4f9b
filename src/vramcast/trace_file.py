"""Traces in files: written once, replayed later without torch.

The format: an archive of columns (`column_archive.py`), named as those of `Trace`, beside a header, see `_Header`.
JSON has no infinity and no tuples: among an operator call's attributes such floats are written as `{"float": "inf"}`, and
lists are read as tuples.
"""

from __future__ import annotations

import os

import msgspec
import numpy as np

from vramcast.call_json import call_from_json, call_to_json
from vramcast.column_archive import Columns, Stamp, check_names, decode_columns, encode_columns, load_columns, save_columns
from vramcast.errors import InvalidFileError
from vramcast.trace import Caveat, Column, Component, Event, OperatorCall, Phase, Subject, Trace
from vramcast.version import __version__

FORMAT = "vramcast/trace"
VERSION = 1

_EVENTS = ("kinds", "blocks", "operations")
_BLOCKS = ("sizes", "components", "streams", "block_modules")
_OPERATIONS = ("operation_operators", "operation_modules", "operation_phases")
_COLUMNS = _EVENTS + _BLOCKS + _OPERATIONS


class _Header(Stamp, frozen=True, kw_only=True):
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
    save_columns(path, *_parts(trace))


def encode_trace(trace: Trace) -> bytes:
    """Return the trace as bytes to be kept inside another file; 10,000 events take 15 to 30 KiB."""
    return encode_columns(*_parts(trace))


def decode_trace(data: bytes) -> Trace:
    """Read what `encode_trace` returned; what it declares is checked as in `load_trace`.

    Raises:
        InvalidFileError: the bytes are damaged, over the limits, or of a newer version.
    """
    return decode_columns(data, "trace", Stamp(format=FORMAT, version=VERSION), _read)


def _parts(trace: Trace) -> tuple[_Header, Columns]:
    header = _Header(
        format=FORMAT,
        version=VERSION,
        vramcast=__version__,
        subject=trace.subject,
        operators=trace.operators,
        modules=trace.modules,
        phases=trace.phases,
        calls={operation: call_to_json(call) for operation, call in trace.calls.items()},
        caveats=trace.caveats,
    )
    return header, {name: getattr(trace, name) for name in _COLUMNS}


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """Read a trace that `save_trace` wrote.

    Raises:
        InvalidFileError: there is no such file, it is none of these, damaged, over the limits, or of a newer version.
    """
    return load_columns(path, "trace", Stamp(format=FORMAT, version=VERSION), _read)


def _read(text: bytes, columns: Columns) -> Trace:
    check_names(columns, _COLUMNS, "trace")
    header = msgspec.json.decode(text, type=_Header)
    trace = Trace(
        subject=header.subject,
        **columns,
        operators=header.operators,
        modules=header.modules,
        phases=header.phases,
        calls={operation: call_from_json(call) for operation, call in header.calls.items()},
        caveats=header.caveats,
    )
    _check_trace(trace)
    return trace


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
