"""Families over batches, one for each number of passes over which gradients are accumulated.

A preset may accumulate until about so many samples were seen. Batches that accumulate as often have the same events, and small batches that are
traced with that accumulation, though it is not their own, tell them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from vramcast.family import TraceFamily, build, reaching
from vramcast.family.piece import Piece, Point
from vramcast.solvers.points import BATCH
from vramcast.solvers.search import largest
from vramcast.trace import Trace

SMALL = 4
"""Batches up to this one are traced first, and tell about where to search; as many are traced for a family."""


@dataclass(slots=True)
class FamiliesByAccumulation:
    """Makes the family of each accumulation when a batch of it is asked about."""

    trace_with: Callable[[Point, int], Trace]
    """The trace of a point with a given accumulation."""
    accumulated: Callable[[int], int]
    """How often a batch accumulates: no more often than a smaller one."""
    most: int
    """The largest batch that is of interest: families reach so far."""
    _small: dict[int, TraceFamily] = field(default_factory=dict)
    _made: dict[int, TraceFamily] = field(default_factory=dict)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Those that were made so far."""
        return tuple(piece for family in self._made.values() for piece in family.pieces)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where families are split."""
        return tuple(dict.fromkeys(note for family in self._made.values() for note in family.notes))

    def small(self, often: int) -> TraceFamily:
        """Return what a few small batches tell with an accumulation; nothing verifies yet that it holds for larger ones."""
        if often not in self._small:
            self._small[often] = build(self._trace_at(often), BATCH, (2, SMALL), [()])
        return self._small[often]

    def piece_at(self, point: Point) -> Piece | None:
        """Return the piece a point lies in; None where it has to be traced itself."""
        if not 1 < point[0] <= self.most:
            return None
        often = self.accumulated(point[0])
        if often not in self._made:
            self._made[often] = self._reaching(often, point[0])
        return self._made[often].piece_at(point)

    def at(self, point: Point) -> Trace | None:
        """Return the trace of a point; None where it has to be traced itself."""
        piece = self.piece_at(point)
        return None if piece is None else piece.at(point)

    def _reaching(self, often: int, batch: int) -> TraceFamily:
        """Return the family of the batches that accumulate so often; an empty one where they are too few to save traces."""
        low = 1 + largest(lambda other: self.accumulated(other) > often, batch, batch, neighbours=0)
        high = largest(lambda other: self.accumulated(other) >= often, self.most, self.most, neighbours=0)
        if high - low < SMALL:
            return TraceFamily(BATCH, ())
        small = self.small(often)
        grown = reaching(small.pieces[-1], self._trace_at(often), (high,)) if small.pieces else None
        if grown is None:
            return _from(low, build(self._trace_at(often), BATCH, (2, high), [()]))
        return _from(low, replace(small, pieces=(*small.pieces[:-1], grown)))

    def _trace_at(self, often: int) -> Callable[[Point], Trace]:
        return lambda point: self.trace_with(point, often)


def _from(low: int, family: TraceFamily) -> TraceFamily:
    """Return the family without smaller batches, which accumulate more often."""
    boxes: Iterable[Piece] = (replace(piece, box=replace(piece.box, low=(max(low, *piece.box.low),))) for piece in family.pieces)
    return replace(family, pieces=tuple(boxes))
