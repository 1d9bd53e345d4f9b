"""From traces at a few points to one piece of a family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vramcast.family.affine import AffineColumn
from vramcast.family.batch_family import BatchFamily
from vramcast.family.batch_fit import alike
from vramcast.family.calls import CallForm, check_form, numbers_of
from vramcast.family.errors import NotAffineError
from vramcast.family.piece import Box, Piece, Point
from vramcast.family.polynomials import Polynomials
from vramcast.family.script import OPERATION, lines_of, scripts
from vramcast.trace import Column, Event, OperatorCall, Trace


def fit_piece(box: Box, structure: BatchFamily, traces: Mapping[Point, Trace]) -> Piece | None:
    """Return the piece that the traces at some points of a box tell; each of them is met to the byte. None where they tell none."""
    try:
        piece = _fitted(box, structure, traces)
        return piece if all(alike(piece.at(point), trace) for point, trace in traces.items()) else None
    except NotAffineError:
        return None


def tells(piece: Piece, point: Point, trace: Trace) -> bool:
    """Say whether a trace at a point that was not used is the piece's own, to the byte."""
    try:
        return alike(piece.at(point), trace)
    except NotAffineError:
        return False


def structure_of(trace: Trace, batch: int) -> BatchFamily:
    """Return the structure of the one batch that was traced.

    Raises:
        NotAffineError: its blocks are numbered otherwise than by birth.
    """
    (script,), table = scripts((trace,), context=0)
    nothing = np.zeros(len(script.texts), np.int64)
    return BatchFamily(
        smallest=batch, subject=trace.subject, operators=trace.operators, modules=trace.modules, phases=trace.phases, caveats=trace.caveats,
        texts=table[script.texts], loops=(), sizes=AffineColumn(script.sizes, nothing), partners=AffineColumn(script.partners, nothing),
        round_partners=AffineColumn(nothing - 1, nothing), partner_strides=nothing, calls={},
    )  # fmt: skip


def _fitted(box: Box, structure: BatchFamily, traces: Mapping[Point, Trace]) -> Piece:
    points = list(traces)
    rows = [_own_rows(structure, point[0], trace) for point, trace in traces.items()]
    births = np.flatnonzero(structure.texts[:, 0] == Event.ALLOCATE)
    operations = np.flatnonzero(structure.texts[:, 0] == OPERATION).tolist()
    bytes_of = np.stack([sizes[births] for sizes, _ in rows], axis=1)
    calls = {line: [calls.get(line) for _, calls in rows] for line in operations}
    described = {line: _of_one_form(row) for line, row in calls.items() if any(call is not None for call in row)}
    lengths = {line: len(numbers_of(row[0])) for line, row in described.items()}
    of_calls = [column for row in described.values() for column in zip(*map(numbers_of, row))]
    values = np.concatenate([bytes_of, np.array(of_calls, np.int64).reshape(-1, len(points))])
    distinct, which = np.unique(values, axis=0, return_inverse=True)
    numbers = Polynomials.through(np.array(points, np.int64) // np.array(box.unit, np.int64), distinct, "byte counts")
    sizes = np.full(len(structure.texts), -1, np.int64)
    sizes[births] = which[: len(births)]
    forms, form_of = _forms({line: row[0] for line, row in described.items()}, lengths, which[len(births) :].tolist())
    return Piece(box, structure, numbers, sizes, forms, form_of)


def _of_one_form(row: Sequence[OperatorCall | None]) -> list[OperatorCall]:
    for call in row[1:]:
        check_form(row[0], call)
    return [call for call in row if call is not None]


def _forms(firsts: Mapping[int, OperatorCall], lengths: Mapping[int, int], rows: list[int]) -> tuple[tuple[CallForm, ...], dict[int, int]]:
    """Return the distinct calls, and which of them stands at each line."""
    found: dict[str, int] = {}
    forms: list[CallForm] = []
    form_of: dict[int, int] = {}
    done = 0
    for line, call in firsts.items():
        form = CallForm(call, tuple(rows[done : done + lengths[line]]))
        done += lengths[line]
        form_of[line] = found.setdefault(repr(form), len(forms))
        if form_of[line] == len(forms):
            forms.append(form)
    return tuple(forms), form_of


def _own_rows(structure: BatchFamily, batch: int, trace: Trace) -> tuple[Column, dict[int, OperatorCall]]:
    """Return, per line of the structure, its bytes in a trace, and the calls of the lines that have one.

    Raises:
        NotAffineError: the trace has other lines.
    """
    kinds, indices = lines_of(trace)
    if batch < structure.smallest or len(kinds) != structure.lines(batch):
        raise NotAffineError("the traces differ in their events")
    own = structure.own_lines(batch)
    if not np.array_equal(kinds[own], structure.texts[:, 0]):
        raise NotAffineError("the traces differ in their events")
    births = kinds[own] == Event.ALLOCATE
    sizes = np.zeros(len(own), np.int64)
    sizes[births] = trace.sizes[trace.blocks[indices[own][births]]]
    operations = np.flatnonzero(kinds[own] == OPERATION)
    calls = {line: trace.calls[index] for line, index in zip(operations.tolist(), indices[own][operations].tolist()) if index in trace.calls}
    return sizes, calls
