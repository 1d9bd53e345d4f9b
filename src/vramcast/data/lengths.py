"""Lengths of sequences in tokens: a text file with one a line, or a column of a CSV or Parquet file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vramcast.data.image_files import is_regular
from vramcast.data.interface import DataSet, Malformed, Progress, printable
from vramcast.data.text_files import read_bounded
from vramcast.errors import InvalidFileError, MissingExtraError

LARGEST_FILE = 2**28
"""Bytes of a text or CSV file."""
LARGEST_ROWS = 10**8
"""Rows of a Parquet file."""
LARGEST_LENGTH = 2**31
_COLUMNS = ("length", "lengths", "seq", "seq_len", "seq_length", "sequence_length", "num_tokens", "n_tokens", "tokens")
"""Names by which a column is known, best first; of a table with one column, that one."""


class Lengths:
    """Lengths counted beforehand: `len(tokenizer(text).input_ids)` of each sample."""

    name = "lengths"
    looks_like = "a .txt, .csv or .parquet file of sequence lengths"

    def matches(self, path: Path) -> bool:
        """By its ending."""
        return path.suffix.lower() in (".txt", ".csv", ".parquet")

    def read(self, path: Path, progress: Progress) -> DataSet:
        """Read all lengths. Raises as `Kind.read`."""
        progress("reading lengths")
        malformed = Malformed()
        read = {".txt": _from_text, ".csv": _from_csv, ".parquet": _from_parquet}[path.suffix.lower()]
        found = list(read(path, malformed))
        if not found:
            raise InvalidFileError(f"'{path}' holds no sequence lengths. It has one whole number a line, or a column {', '.join(_COLUMNS[:4])}.")
        return DataSet(
            source=printable(str(path)), kind=self.name, names=tuple(f"row {row:,}" for row, _ in found),
            lengths=np.array([length for _, length in found], np.int64), malformed=malformed.count, malformed_examples=tuple(malformed.examples),
        )  # fmt: skip


def _from_text(path: Path, malformed: Malformed) -> Iterable[tuple[int, int]]:
    lines = read_bounded(path, LARGEST_FILE).splitlines()
    return _whole_numbers(((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()), malformed)


def _from_csv(path: Path, malformed: Malformed) -> Iterable[tuple[int, int]]:
    rows = csv.reader(io.StringIO(read_bounded(path, LARGEST_FILE)))
    try:
        header = [title.strip() for title in next(rows, [])]
        column = header.index(_column(path, header))
        cells = [(number, row[column].strip() if column < len(row) else "") for number, row in enumerate(rows, 1) if row]
    except csv.Error as error:
        raise InvalidFileError(f"'{path}' is no CSV: {error}.") from None
    return _whole_numbers(cells, malformed)


def _from_parquet(path: Path, malformed: Malformed) -> Iterable[tuple[int, int]]:
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("polars", "data", "Reading a Parquet file") from error
    if not is_regular(path):
        raise InvalidFileError(f"'{path}' is no file that can be read.")
    try:
        table = polars.scan_parquet(path, glob=False)
        name = _column(path, table.collect_schema().names())
        column = table.select(polars.col(name)).head(LARGEST_ROWS + 1).collect().to_series()
    except polars.exceptions.PolarsError as error:
        raise InvalidFileError(f"'{path}' is no Parquet file that can be read: {printable(str(error))[:200]}.") from None
    if len(column) > LARGEST_ROWS:
        raise InvalidFileError(f"'{path}' has more than {LARGEST_ROWS:,} rows. Name a smaller file.")
    return _whole_numbers(((row, "" if value is None else str(value)) for row, value in enumerate(column, 1)), malformed)


def _column(path: Path, names: list[str]) -> str:
    """Choose the column that holds the lengths."""
    lowered = {name.lower(): name for name in names}
    known = next((lowered[name] for name in _COLUMNS if name in lowered), None)
    if known is None and len(names) == 1:
        known = names[0]
    if known is None:
        found = printable(", ".join(names[:8])) or "none"
        raise InvalidFileError(f"'{path}' has no column of lengths among {found}. Name one {', '.join(_COLUMNS[:4])}, or leave the others out.")
    return known


def _whole_numbers(cells: Iterable[tuple[int, str]], malformed: Malformed) -> Iterable[tuple[int, int]]:
    for row, text in cells:
        if text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= LARGEST_LENGTH:
            yield row, int(text)
        else:
            malformed.add(f"row {row}", f"{text[:40]!r} is no length")
