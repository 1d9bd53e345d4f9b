"""Rows as files that other programs read: CSV and Parquet, and which format a file's ending means."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from vramcast.errors import MissingExtraError, UsageError

Rows = Sequence[Mapping[str, Any]]


def as_csv(rows: Rows) -> bytes:
    """Return a line per row under a header, in UTF-8; columns in the order in which rows name them first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def as_parquet(rows: Rows) -> bytes:
    """Return a table for pandas, polars or a database.

    Raises:
        MissingExtraError: polars, which writes it, is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("polars", "parquet", "Writing Parquet") from error
    buffer = io.BytesIO()
    polars.DataFrame(rows, infer_schema_length=None).write_parquet(buffer)
    return buffer.getvalue()


def format_for(path: Path, formats: Collection[str]) -> str:
    """Return the one of `formats` that a file's ending means.

    Raises:
        UsageError: it means none.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in formats:
        raise UsageError(f"'{path}' does not tell its format. Let it end in {', '.join(f'.{name}' for name in formats)}, or give --format.")
    return ending
