"""Reads a table of measured figures."""

from __future__ import annotations

import csv
from pathlib import Path

from vramcast.errors import InvalidFileError

_COLUMNS = {"id", "model", "batch_per_gpu", "value", "unit", "gpu", "confidence"}


def rows(folder: str, name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries.

    Raises:
        InvalidFileError: the file cannot be read, or lacks a column.
    """
    path = Path(folder, name)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise InvalidFileError(f"measured figures {path} cannot be read: {error.strerror}. Name their folder with --measured.") from None
    missing = _COLUMNS - set(table[0] if table else ())
    if missing:
        raise InvalidFileError(f"measured figures {path} lack the columns {', '.join(sorted(missing))}.")
    return table
