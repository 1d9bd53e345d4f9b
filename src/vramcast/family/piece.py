"""One piece of a family: a box of points at which a program has the same events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vramcast.family.batch_family import BatchFamily
from vramcast.family.calls import CallForm
from vramcast.family.polynomials import Polynomials
from vramcast.trace import Column, Trace

Point = tuple[int, ...]
"""The batch, then height and width of the images, or the length of the sequences; the batch alone where a program has neither."""


@dataclass(frozen=True, slots=True)
class Box:
    """The points from one corner to the other, both traced, in steps of a unit."""

    low: Point
    high: Point
    unit: Point

    def __contains__(self, point: object) -> bool:
        if not isinstance(point, tuple) or len(point) != len(self.low):
            return False
        return all(low <= value <= high and value % unit == 0 for value, low, high, unit in zip(point, self.low, self.high, self.unit))


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """The traces of one program at every point of a box."""

    box: Box
    structure: BatchFamily
    """Lines, loops and what is freed; its own numbers are those of one size."""
    numbers: Polynomials
    """Every number of the traces, in units of the box; each polynomial once."""
    sizes: Column
    """Per line of the structure: which of the numbers is its bytes; -1 where it allocates nothing."""
    forms: tuple[CallForm, ...]
    calls: Mapping[int, int]
    """Line that begins an operation -> its call among the forms."""

    def at(self, point: Point) -> Trace:
        """Return the trace of a point of the box.

        Raises:
            NotAffineError: a byte count would be no whole number there.
        """
        numbers = self.numbers_at(np.array([point], np.int64))[:, 0]
        listed = numbers.tolist()
        calls = [form.at(listed) for form in self.forms]
        sizes = np.where(self.sizes < 0, 0, numbers[self.sizes])
        step = point[0] - self.structure.smallest
        return self.structure.spelled(step, sizes, {line: calls[form] for line, form in self.calls.items()})

    def numbers_at(self, points: Column) -> Column:
        """Return every number at points x variables of the box: numbers x points.

        Raises:
            NotAffineError: a byte count would be no whole number somewhere.
        """
        return self.numbers.at(points // np.array(self.box.unit, np.int64))

    def without_calls(self, point: Point) -> Trace:
        """Return the trace of a point of the box without its operator calls, from which scratch would follow: a lower bound, found sooner.

        Raises:
            NotAffineError: a byte count would be no whole number there.
        """
        numbers = self.numbers_at(np.array([point], np.int64))[:, 0]
        return self.structure.spelled(point[0] - self.structure.smallest, np.where(self.sizes < 0, 0, numbers[self.sizes]), {})
