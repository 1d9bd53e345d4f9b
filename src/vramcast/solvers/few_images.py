"""Detectors in training at any size: the trace of a batch from that of a few images, where the batch itself would be traced three times over.

Losses and post-processing look at values, so that no rule tells what they take at another size; a trace there does. How it grows with the batch
is known from the first size (`family.resized`), and checked at the second one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vramcast.collecting import not_collecting
from vramcast.family import BatchFamily, fit, resized
from vramcast.family.batch_fit import alike
from vramcast.family.piece import Point
from vramcast.trace import Trace

if TYPE_CHECKING:
    from vramcast.solvers.points import Points

SMALLEST = 4
"""A loop over images has a first and a last round from this batch on, and others that are like those of any batch."""


@dataclass(slots=True)
class FewImages:
    """What tells the batch of a fit over images."""

    points: Points
    _first: BatchFamily | None = None
    _is_checked: bool = False
    _fails: bool = False
    """Few images do not tell the batch."""

    def trace(self, point: Point) -> Trace | None:
        """Return the trace of a point; None where it is better traced as it is. Raises as `Points.trace`."""
        from vramcast.backends.eager.batching import is_cheap  # torch, which a trace loads anyway

        workload = self.points.workload_at(point)
        if self._fails or workload.backend != "eager" or point[0] != self.points.workload.batch or is_cheap(self.points.model, workload):
            return None
        with not_collecting():
            family = self._family(point)
        self._fails = family is None
        return None if family is None else family.at(point[0])

    def _family(self, point: Point) -> BatchFamily | None:
        if self._first is None:
            self._first = fit((self._of(SMALLEST, point), self._of(SMALLEST + 1, point), self._of(SMALLEST + 2, point)), SMALLEST)
            return self._first
        family = resized(self._first, self._of(SMALLEST, point))
        if family is not None and not self._is_checked:
            self._is_checked = alike(family.at(SMALLEST + 1), self._of(SMALLEST + 1, point))
            return family if self._is_checked else None
        return family

    def _of(self, batch: int, point: Point) -> Trace:
        return self.points.trace_with((batch, *point[1:]), self.points.workload_at(point).accumulate)
