"""The records of a sweep as files and tables: JSON, CSV, Parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.reports import tables
from vramcast.reports.palette import SWATCHES
from vramcast.solvers.sweep.record import Record

FIGURES = ("live_bytes", "allocated_bytes", "reserved_bytes", "device_bytes", "low_bytes", "high_bytes", "fits", "verdict", "confidence", "error")


def flat(record: Record) -> dict[str, Any]:
    """Return a record as one row: the axes, the figures, and each component as `weights_bytes`."""
    components = {f"{name}_bytes": record.components.get(name, 0) if record.components else None for name in SWATCHES}
    return {**record.axes, **{name: getattr(record, name) for name in FIGURES}, **components}


def as_json(records: Sequence[Record]) -> bytes:
    """Return a list of points, each with its axes and figures."""
    plain = [{**record.axes, **{name: getattr(record, name) for name in FIGURES}, "components": record.components} for record in records]
    return msgspec.json.format(msgspec.json.encode(plain), indent=2) + b"\n"


def as_csv(records: Sequence[Record]) -> bytes:
    """Return a line per point under a header."""
    return tables.as_csv([flat(record) for record in records])


def as_parquet(records: Sequence[Record]) -> bytes:
    """Return a table of the points. Raises `MissingExtraError`."""
    return tables.as_parquet([flat(record) for record in records])


FORMATS: dict[str, Callable[[Sequence[Record]], bytes]] = {"json": as_json, "csv": as_csv, "parquet": as_parquet}
"""By name, which is also the ending of a file."""


def format_for(path: Path) -> str:
    """Return the format that a file's ending means. Raises `UsageError` where it means none."""
    return tables.format_for(path, FORMATS)


def write(records: Sequence[Record], path: Path, form: str) -> None:
    """Write the records to a file, whole or not at all.

    Raises:
        OutputError: the path cannot be written.
        MissingExtraError: a package is needed for this format.
    """
    content = FORMATS[form](records)
    write_atomically(path, lambda file: file.write(content))
