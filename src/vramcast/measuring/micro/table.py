"""The table of single kernels: one row each, written as they are measured, so that a run that was stopped goes on where it was.

# {"card": …, "software": …}          one line of JSON: where it was measured
kind,shape,dtype,layout,direction,output_bytes,extra_bytes,largest_bytes,allocations,outside_bytes,error

output_bytes    bytes of the tensors the call returns, storage by storage
extra_bytes     bytes asked for during the call less those of its outputs: workspaces, copies, saved tensors
largest_bytes   the largest single request that is none of the outputs
allocations     every request of the call, in order, separated by spaces
outside_bytes   what the card had taken after the call less torch's reserved bytes: context and loaded kernels
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from vramcast.errors import InvalidFileError

_KEY = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One kernel's line."""

    kind: str
    shape: str
    dtype: str
    layout: str
    direction: str
    output_bytes: int
    extra_bytes: int
    largest_bytes: int
    allocations: str
    outside_bytes: int | None
    error: str = ""


HEADER = tuple(item.name for item in fields(Row))
LAST = "# complete"
"""The line that ends a table in which every kernel is."""


def row_of(key: Sequence[str], outputs: Iterable[int], requests: Sequence[int], outside: int | None, error: str = "") -> Row:
    """Return the line of a kernel that asked for `requests` bytes in turn and returned storages of `outputs` bytes."""
    left = Counter(requests)
    left.subtract(Counter(outputs) & left)
    extra = list(left.elements())
    written = " ".join(map(str, requests))
    kind, shape, dtype, layout, direction = key
    figures = (sum(requests) - sum(extra), sum(extra), max(extra, default=0))
    return Row(kind, shape, dtype, layout, direction, *figures, written, outside, error)


def begin_table(path: Path, origin: bytes) -> set[tuple[str, ...]]:
    """Return the keys of the rows that are there, cutting off what was half written; write the head of a table that is not there."""
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        path.write_text(text[: text.rfind("\n") + 1], encoding="utf-8")
        return {tuple(row[:_KEY]) for row in _rows(path)}
    path.write_text(f"# {origin.decode()}\n{_line(HEADER)}", encoding="utf-8")
    return set()


def append_rows(path: Path, rows: Iterable[Row]) -> None:
    """Add lines."""
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(_line(astuple(row)) for row in rows)


def complete(path: Path) -> None:
    """Say that nothing is missing."""
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{LAST}\n")


def is_complete(path: Path) -> bool:
    """Tell whether every kernel is in a table."""
    return path.read_text(encoding="utf-8").endswith(f"{LAST}\n")


def read_table(path: Path) -> list[Row]:
    """Return the lines of a table.

    Raises:
        InvalidFileError: it is none.
    """
    try:
        return [_read(row) for row in _rows(path)]
    except (OSError, ValueError, IndexError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{str(path)!r} is no table of kernels: {error}.") from error


def read_origin(path: Path) -> bytes:
    """Return the JSON of the first line: card and software. Raises `InvalidFileError` when the file cannot be read or has none."""
    try:
        with open(path, "rb") as file:
            line = file.readline()
    except OSError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    if not line.startswith(b"# {"):
        raise InvalidFileError(f"{str(path)!r} is no table of kernels: its first line does not say where it was measured.")
    return line[2:]


def _read(cells: Sequence[str]) -> Row:
    kind, shape, dtype, layout, direction, output, extra, largest, allocations, outside, error = cells
    figures = (int(output), int(extra), int(largest))
    return Row(kind, shape, dtype, layout, direction, *figures, allocations, int(outside) if outside else None, error)


def _rows(path: Path) -> list[list[str]]:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if not line.startswith("#")]
    return list(csv.reader(lines))[1:]


def _line(cells: Iterable[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow("" if cell is None else cell for cell in cells)
    return text.getvalue()
