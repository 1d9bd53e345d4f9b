"""From a program that can be traced at any point to its family: which points are traced, and where the family is split."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from vramcast.errors import VramcastError
from vramcast.family.batch_family import BatchFamily
from vramcast.family.batch_fit import fit
from vramcast.family.errors import NotAffineError
from vramcast.family.piece import Box, Piece, Point
from vramcast.family.piece_fit import fit_piece, structure_of, tells
from vramcast.family.trace_family import TraceFamily
from vramcast.trace import Trace

TraceAt = Callable[[Point], Trace]
Size = tuple[int, ...]
"""A point without its batch."""

_SMALLEST = 4
"""A loop over images has a first and a last round from this batch on, and others that are like those of any batch."""
_MOST_BORDERS = 4
"""Along the batch of one size; a program that changes more often is traced point by point."""
_FEWEST_SIZES = 4
"""Sizes from which on it pays to fit them together rather than one by one."""


def build(trace_at: TraceAt, axes: tuple[str, ...], batches: tuple[int, int], sizes: Sequence[Size]) -> TraceFamily:
    """Return the family over batches, both ends included, and sizes.

    One piece over the multiples of the sizes' common divisor where traces at a few points, of which two were not used, say that it is;
    otherwise a piece for each size; where the events change with the batch, a piece on each side of the border. What no piece holds has
    to be traced itself.
    """
    builder = _Builder(trace_at, axes, batches, tuple(sorted(set(sizes))))
    pieces = builder.pieces()
    return TraceFamily(axes, tuple(pieces), tuple(dict.fromkeys(builder.notes)))


@dataclass(slots=True)
class _Builder:
    trace_at: TraceAt
    axes: tuple[str, ...]
    batches: tuple[int, int]
    sizes: tuple[Size, ...]
    notes: list[str] = field(default_factory=list)
    _offset: int = 0
    """How far behind the first batch the last structure found begins: tried first at the next size."""
    _traces: dict[Point, Trace | None] = field(default_factory=dict)

    def pieces(self) -> list[Piece]:
        whole = self._across_sizes()
        if whole is not None:
            return [whole]
        return list(itertools.chain.from_iterable(map(self._along_batches, self.sizes)))

    def _trace(self, point: Point) -> Trace | None:
        """Return a trace, None where the program cannot be traced: whoever asks for that point will hear why."""
        if point not in self._traces:
            try:
                self._traces[point] = self.trace_at(point)
            except VramcastError:
                self._traces[point] = None
        return self._traces[point]

    def _start(self, size: Size, first: int) -> BatchFamily | None:
        """Return the lines and loops of a size, from the first batch on at which they are those of its neighbours."""
        if self.batches[0] == self.batches[1]:
            trace = self._trace((first, *size))
            return None if trace is None else _structure_or_none(trace, first)
        for start in dict.fromkeys([first + self._offset, first, first + 1, max(first, _SMALLEST)]):
            traces = [self._trace((start + more, *size)) for more in range(3)]
            found = [trace for trace in traces if trace is not None]
            family = fit((found[0], found[1], found[2]), start) if len(found) == 3 else None
            if family is not None:
                self._offset = start - first
                if start > first:
                    self.notes.append(f"batches below {start} are traced one by one")
                return family
        return None

    def _across_sizes(self) -> Piece | None:
        if len(self.sizes) < _FEWEST_SIZES:
            return None
        low, high, unit = (tuple(of(*sides) for sides in zip(*self.sizes)) for of in (min, max, math.gcd))
        middles = [_between(*ends) for ends in zip(low, high, unit)]
        structure = self._start(low, self.batches[0])
        if structure is None or any(len(set(inner)) < 2 for inner in middles):
            return None
        first, last = structure.smallest, max(self.batches[1], structure.smallest)
        box = Box((first, *low), (last, *high), (1, *unit))
        batches = [first] * 3 if self.batches[0] == self.batches[1] else [first, first + 1, first + 2]
        used = [*((batch, *low) for batch in dict.fromkeys(batches)), *_spread(batches, low, high, middles)]
        unused = [(last, *high), (_middle(first, last), *(inner[-1] for inner in middles))]
        piece = self._piece(box, structure, used)
        if piece is not None and all((trace := self._trace(point)) is not None and tells(piece, point, trace) for point in unused):
            return piece
        self.notes.append("byte counts or events do not follow the size by one rule: every size has its own piece")
        return None

    def _along_batches(self, size: Size) -> list[Piece]:
        first, last = self.batches
        found: list[Piece] = []
        while first <= last and len(found) < _MOST_BORDERS:
            structure = self._start(size, first)
            if structure is None:
                break
            start = structure.smallest
            used = [(start + more, *size) for more in range(3 if self.batches[0] < self.batches[1] else 1)]
            piece = self._piece(Box((start, *size), (max(last, start), *size), (1, *size)), structure, used)
            if piece is None:
                break
            end = self._border(piece, start, last, size)
            found.append(replace(piece, box=replace(piece.box, high=(end, *size))))
            if end < last:
                self.notes.append(f"the events change beyond batch {end}")
            first = end + 1
        if first <= last and not found:
            self.notes.append(f"{_text(self.axes, size)} is no family: its points are traced one by one")
        return found

    def _border(self, piece: Piece, start: int, last: int, size: Size) -> int:
        """Return the largest batch up to which the piece holds: the last one, or one found by halving."""
        holds, fails = start, last + 1
        asked = last
        while fails - holds > 1:
            trace = self._trace((asked, *size))
            if trace is not None and tells(piece, (asked, *size), trace):
                holds = asked
            else:
                fails = asked
            asked = (holds + fails) // 2
        return holds

    def _piece(self, box: Box, structure: BatchFamily, points: Sequence[Point]) -> Piece | None:
        traces = {point: self._trace(point) for point in dict.fromkeys(points)}
        return fit_piece(box, structure, {point: trace for point, trace in traces.items() if trace is not None})


def _structure_or_none(trace: Trace, batch: int) -> BatchFamily | None:
    try:
        return structure_of(trace, batch)
    except NotAffineError:
        return None


def _spread(batches: Sequence[int], low: Size, high: Size, middles: Sequence[tuple[int, int, int]]) -> list[Point]:
    """Return points in which every variable takes several values beside several values of the others."""
    few, more, most = batches
    if not low:
        return []
    if len(low) == 1:
        ((one, two, three),) = middles
        return [(more, one), (few, two), (most, three), (more, high[0]), (most, two)]
    (top, upper, lower), (left, middle, right) = middles
    return [
        (more, top, low[1]), (few, low[0], left), (most, top, left), (more, upper, left), (few, upper, middle), (more, top, right),
        (most, lower, middle), (few, high[0], low[1]), (more, low[0], high[1]),
    ]  # fmt: skip


def _between(low: int, high: int, unit: int) -> tuple[int, int, int]:
    """Return three multiples of a unit from one end to the other, as far apart as there is room for."""
    steps = (high - low) // unit
    one, two, three = (low + unit * max(1, round(steps * share)) for share in (0.25, 0.5, 0.8))
    return min(one, high), min(two, high), min(three, high)


def _middle(low: int, high: int) -> int:
    return low + max((high - low) * 2 // 3, min(1, high - low))


def _text(axes: tuple[str, ...], size: Size) -> str:
    return " x ".join(f"{name} {side}" for name, side in zip(axes[1:], size)) or "the program"
