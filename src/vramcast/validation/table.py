"""Reads a table of measured figures: one row a reading, with its source, its metric and what is known of its set-up.

Openly licensed tables lie in `measured/`; the others in a folder of the user's.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

from vramcast.errors import InvalidFileError
from vramcast.units import GIB, MIB
from vramcast.validation.case import Case, Environment, Unexpressed

Row = dict[str, str]

_COLUMNS = ("id", "model", "batch_per_gpu", "value", "unit", "gpu", "confidence")
_UNITS = {"bytes": 1, "MB": 10**6, "MiB": MIB, "GB": 10**9, "GiB": GIB}
"""What a unit's first word stands for; notes in brackets follow it: `GB (reserved/1e9)`."""


def rows(folder: str | None, name: str, columns: Sequence[str] = _COLUMNS) -> list[dict[str, str]]:
    """Return the rows of a CSV file as dictionaries: of the package's own where it has the file, else of the folder's.

    `columns` are those that must be there.

    Raises:
        InvalidFileError: the file cannot be read, or lacks a column.
    """
    path = _path(folder, name)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
    except OSError as error:
        raise InvalidFileError(f"measured figures {path} cannot be read: {error.strerror}. Name their folder with --measured.") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidFileError(f"measured figures {path} are not a CSV file in UTF-8: {error}.") from None
    missing = set(columns) - set(table[0] if table else ())
    if missing:
        raise InvalidFileError(f"measured figures {path} lack the columns {', '.join(sorted(missing))}.")
    return table


def sorted_out(table: Iterable[Row], reason_against: Callable[[Row], str], case_of: Callable[[Row], Case]) -> tuple[list[Case], list[Unexpressed]]:
    """Return the rows that are cases, and the others with the reason against each; no reason (an empty text): a case."""
    cases: list[Case] = []
    unexpressed: list[Unexpressed] = []
    for row in table:
        reason = reason_against(row)
        if reason:
            unexpressed.append(Unexpressed(row["id"], reason))
        else:
            cases.append(case_of(row))
    return cases, unexpressed


def measured_bytes(row: dict[str, str]) -> int:
    """Return the value of a row in bytes.

    Raises:
        InvalidFileError: the value is no number, or its unit is unknown.
    """
    unit = row["unit"].split(" ")[0]
    try:
        return round(float(row["value"]) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        legal = ", ".join(_UNITS)
        raise InvalidFileError(f"row {row['id']} states {row['value']!r} {row['unit']!r}; legal is a number in {legal}.") from None


def environment_of(row: dict[str, str], *, is_assumed: bool = False, trainer: str = "", further: str = "") -> Environment:
    """Return what a row says of its measurement beside the workload; `further`: what is known of it from elsewhere."""
    return Environment(
        torch=row.get("torch_version", ""), source=row.get("source", ""), confidence=row["confidence"], is_assumed=is_assumed,
        trainer=trainer, notes="; ".join(filter(None, (row.get("notes", "").strip(" ;"), further))),
    )  # fmt: skip


def _path(folder: str | None, name: str) -> Path:
    own = Path(str(resources.files("vramcast.validation").joinpath("measured", name)))
    if own.is_file():
        return own
    if folder is None:
        raise InvalidFileError(f"measured figures {name} may not be shipped with vramcast. Name the folder that holds them with --measured.")
    return Path(folder, name)
