"""The records of a sweep as files and tables: JSON, CSV, Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.errors import MissingExtraError, UsageError
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
    """Return a line per point under a header, in UTF-8."""
    rows = [flat(record) for record in records]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(records: Sequence[Record]) -> bytes:
    """Return a table for pandas, polars or a database.

    Raises:
        MissingExtraError: polars, which writes it, is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("polars", "parquet", "Writing Parquet") from error
    buffer = io.BytesIO()
    polars.DataFrame([flat(record) for record in records], infer_schema_length=None).write_parquet(buffer)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Sequence[Record]], bytes]] = {"json": as_json, "csv": as_csv, "parquet": as_parquet}
"""By name, which is also the ending of a file."""


def format_for(path: Path) -> str:
    """Return the format that a file's ending means.

    Raises:
        UsageError: it means none.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in FORMATS:
        raise UsageError(f"'{path}' does not tell its format. Let it end in {', '.join(f'.{name}' for name in FORMATS)}, or give --format.")
    return ending


def write(records: Sequence[Record], path: Path, form: str) -> None:
    """Write the records to a file, whole or not at all.

    Raises:
        OutputError: the path cannot be written.
        MissingExtraError: a package is needed for this format.
    """
    content = FORMATS[form](records)
    write_atomically(path, lambda file: file.write(content))
