"""The value: pieces, each with the traces of a box of points, and what is outside all of them."""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.family.piece import Piece, Point
from vramcast.trace import Trace


@dataclass(frozen=True, eq=False, slots=True)
class TraceFamily:
    """The traces of one program over batches and sizes, to the byte."""

    axes: tuple[str, ...]
    """`batch`, then `height` and `width`, or `seq`."""
    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()
    """Where the family is split, and which points it leaves to a trace of their own."""

    def piece_at(self, point: Point) -> Piece | None:
        """Return the piece a point lies in; None where it has to be traced itself."""
        return next((piece for piece in self.pieces if point in piece.box), None)

    def at(self, point: Point) -> Trace | None:
        """Return the trace of a point: the very one that tracing it gives; None where it has to be traced itself."""
        piece = self.piece_at(point)
        return None if piece is None else piece.at(point)
