"""One batch over many sizes: a piece fitted at a few of them, which reaches as far as further traces verify."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from vramcast.errors import VramcastError
from vramcast.family.errors import NotAffineError
from vramcast.family.piece import Box, Piece, Point
from vramcast.family.piece_fit import fit_piece, structure_of, tells
from vramcast.trace import Trace

TraceAt = Callable[[Point], Trace]


def fit_sizes(trace_at: TraceAt, points: Sequence[Point], unit: Point) -> Piece | None:
    """Return the piece that the traces of one batch at several sizes tell, the smallest size first; None where they tell none.

    Byte counts follow the size with up to four terms, so that of five points one at least checks the others.
    """
    try:
        traces = {point: trace_at(point) for point in points}
        structure = structure_of(traces[points[0]], points[0][0])
    except (VramcastError, NotAffineError):  # whoever asks for that point will hear why
        return None
    return fit_piece(Box(points[0], points[-1], unit), structure, traces)


def reaching(piece: Piece, trace_at: TraceAt, point: Point) -> Piece | None:
    """Return the piece with its box up to a point that was not used; None where the piece does not tell the trace there."""
    try:
        if not tells(piece, point, trace_at(point)):
            return None
    except VramcastError:
        return None
    box = piece.box
    low, high = (tuple(map(of, corner, point)) for of, corner in ((min, box.low), (max, box.high)))
    return replace(piece, box=replace(box, low=low, high=high))
