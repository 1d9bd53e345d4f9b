"""Families in files: saved once, asked later without torch.

The format: an archive of columns (`column_archive.py`) beside a header, see `_Header`. Of each piece n, its columns are named
`n.name`; those with two dimensions are written row by row.
"""

from __future__ import annotations

import os
from dataclasses import astuple

import msgspec
import numpy as np

from vramcast.call_json import call_from_json, call_to_json
from vramcast.column_archive import Columns, Stamp, check_names, load_columns, save_columns
from vramcast.errors import InvalidFileError
from vramcast.family.affine import AffineColumn
from vramcast.family.batch_family import BatchFamily
from vramcast.family.calls import CallForm, numbers_of
from vramcast.family.loops import Loop
from vramcast.family.piece import Box, Piece
from vramcast.family.polynomials import Polynomials
from vramcast.family.script import COLUMNS, OPERATION
from vramcast.family.trace_family import TraceFamily
from vramcast.trace import Caveat, Column, Component, Event, Phase, Subject, Trace
from vramcast.version import __version__

FORMAT = "vramcast/family"
VERSION = 1
_LINES = ("partners", "partner_slopes", "round_partners", "round_slopes", "strides", "sizes")
"""Columns with a row per line of a piece."""
_FLAT = ("texts", "exponents", "numerators", "denominators", "call_lines", "call_forms", "loops")


class _PieceHeader(msgspec.Struct, frozen=True, kw_only=True):
    """All of a piece but its columns."""

    box: Box
    smallest: int
    subject: Subject
    operators: tuple[str, ...]
    modules: tuple[str, ...]
    phases: tuple[Phase, ...]
    caveats: tuple[Caveat, ...]
    forms: tuple[CallForm, ...]


class _Header(Stamp, frozen=True, kw_only=True):
    """All of a family but its columns."""

    vramcast: str
    """The version that wrote it."""
    axes: tuple[str, ...]
    notes: tuple[str, ...]
    pieces: tuple[_PieceHeader, ...]


def save_family(family: TraceFamily, path: str | os.PathLike[str]) -> None:
    """Write the family to one file.

    Raises:
        OutputError: the path cannot be written; nothing half-written is left there.
    """
    columns = {f"{index}.{name}": column for index, piece in enumerate(family.pieces) for name, column in _columns(piece).items()}
    header = _Header(
        format=FORMAT, version=VERSION, vramcast=__version__, axes=family.axes, notes=family.notes,
        pieces=tuple(map(_piece_header, family.pieces)),
    )  # fmt: skip
    save_columns(path, header, columns)


def load_family(path: str | os.PathLike[str]) -> TraceFamily:
    """Read a family that `save_family` wrote.

    Raises:
        InvalidFileError: there is no such file, it is none of these, damaged, over the limits, or of a newer version.
    """
    return load_columns(path, "family", Stamp(format=FORMAT, version=VERSION), _read)


def _piece_header(piece: Piece) -> _PieceHeader:
    structure = piece.structure
    return _PieceHeader(
        box=piece.box, smallest=structure.smallest, subject=structure.subject, operators=structure.operators, modules=structure.modules,
        phases=structure.phases, caveats=structure.caveats, forms=tuple(CallForm(call_to_json(form.first), form.rows) for form in piece.forms),
    )  # fmt: skip


def _columns(piece: Piece) -> Columns:
    structure, numbers = piece.structure, piece.numbers
    return {
        "texts": structure.texts.ravel(),
        "partners": structure.partners.base,
        "partner_slopes": structure.partners.slope,
        "round_partners": structure.round_partners.base,
        "round_slopes": structure.round_partners.slope,
        "strides": structure.partner_strides,
        "sizes": piece.sizes,
        "exponents": numbers.exponents.ravel(),
        "numerators": numbers.numerators.ravel(),
        "denominators": numbers.denominators,
        "call_lines": np.array(list(piece.calls), np.int64),
        "call_forms": np.array(list(piece.calls.values()), np.int64),
        "loops": np.array([astuple(loop) for loop in structure.loops], np.int64).ravel(),
    }


def _read(text: bytes, columns: Columns) -> TraceFamily:
    header = msgspec.json.decode(text, type=_Header)
    check_names(columns, tuple(f"{index}.{name}" for index in range(len(header.pieces)) for name in (*_FLAT, *_LINES)), "family")
    pieces = []
    for index, piece_header in enumerate(header.pieces):
        piece = _piece(piece_header, {name: columns[f"{index}.{name}"] for name in (*_FLAT, *_LINES)}, len(header.axes))
        _check_corners(piece)
        pieces.append(piece)
    return TraceFamily(header.axes, tuple(pieces), header.notes)


def _piece(header: _PieceHeader, columns: Columns, variables: int) -> Piece:
    texts = columns["texts"].reshape(-1, COLUMNS)
    if len({len(texts), *(len(columns[name]) for name in _LINES)}) > 1:
        raise InvalidFileError("its columns differ in length.")
    rows = len(columns["denominators"])
    numbers = Polynomials(columns["exponents"].reshape(-1, variables), columns["numerators"].reshape(rows, -1), columns["denominators"])
    _require(len(numbers.exponents) == numbers.numerators.shape[1] and bool((numbers.denominators > 0).all()), "numbers")
    _require(bool((numbers.exponents >= 0).all()) and int(numbers.exponents.max(initial=0)) <= _LARGEST_POWER, "powers")
    forms = tuple(CallForm(call_from_json(form.first), form.rows) for form in header.forms)
    _require(all(len(form.rows) == len(numbers_of(form.first)) and _below(np.array(form.rows, np.int64), rows) for form in forms), "calls")
    _require(_below(columns["call_forms"], len(forms)) and _below(columns["call_lines"], len(texts)), "calls")
    _require(_below(columns["sizes"] + 1, rows + 1) and bool((columns["sizes"][texts[:, 0] == Event.ALLOCATE] >= 0).all()), "sizes")
    _require(_below(texts[:, 0], OPERATION + 1), "lines")
    _require(all(len(corner) == variables for corner in (header.box.low, header.box.high, header.box.unit)) and min(header.box.unit) > 0, "box")
    return Piece(
        header.box, _structure(header, texts, columns), numbers, columns["sizes"], forms,
        dict(zip(columns["call_lines"].tolist(), columns["call_forms"].tolist())),
    )  # fmt: skip


def _structure(header: _PieceHeader, texts: Column, columns: Columns) -> BatchFamily:
    nothing = np.zeros(len(texts), np.int64)
    return BatchFamily(
        smallest=header.smallest, subject=header.subject, operators=header.operators, modules=header.modules, phases=header.phases,
        caveats=header.caveats, texts=texts, loops=tuple(Loop(*pair) for pair in columns["loops"].reshape(-1, 2).tolist()),
        sizes=AffineColumn(nothing, nothing), partners=AffineColumn(columns["partners"], columns["partner_slopes"]),
        round_partners=AffineColumn(columns["round_partners"], columns["round_slopes"]), partner_strides=columns["strides"], calls={},
    )  # fmt: skip


_LARGEST_POWER = 8
LARGEST_SCRIPT = 5_000_000
"""Events and operations up to which a trace is spelled out."""


def _check_corners(piece: Piece) -> None:
    """Refuse a piece whose traces, at the smallest and the largest of its points, are none."""
    _require(piece.structure.lines(piece.box.high[0]) <= LARGEST_SCRIPT and piece.box.low[0] >= piece.structure.smallest, "batches")
    for point in (piece.box.low, piece.box.high):
        trace: Trace = piece.at(point)
        trace.validate()
        _require(_below(trace.components, len(Component)) and all(0 <= line < len(trace.operation_operators) for line in trace.calls), "blocks")


def _below(column: Column, limit: int) -> bool:
    return not len(column) or (int(column.min()) >= 0 and int(column.max()) < limit)


def _require(condition: bool, name: str) -> None:
    if not condition:
        raise InvalidFileError(f"its {name} point to what does not exist.")
