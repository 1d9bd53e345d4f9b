"""Detectors in training at any size: the trace of a batch from that of a few images, where the batch itself would be traced three times over.

Losses and post-processing look at values, so that no rule tells what they take at another size; a trace there does. How it grows with the batch
is known from the first size with the same events (`family.resized`), and checked at the second one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
class _Known:
    """How traces grow with the batch, at sizes that have the same events."""

    family: BatchFamily
    is_checked: bool = False


@dataclass(slots=True)
class FewImages:
    """What tells the batch of a fit over images."""

    points: Points
    _known: list[_Known] = field(default_factory=list)

    def trace(self, point: Point) -> Trace | None:
        """Return the trace of a point; None where it is better traced as it is. Raises as `Points.trace`."""
        from vramcast.backends.eager.batching import is_cheap  # torch, which a trace loads anyway

        workload = self.points.workload_at(point)
        if workload.backend != "eager" or point[0] != self.points.workload.batch or is_cheap(self.points.model, workload):
            return None
        family = self._at_size_known(point) or self._at_new_size(point)
        return None if family is None else family.at(point[0])

    def _at_size_known(self, point: Point) -> BatchFamily | None:
        few = self._few(SMALLEST, point)
        for known in self._known:
            with not_collecting():
                family = resized(known.family, few)
            if family is not None:
                known.is_checked = known.is_checked or alike(family.at(SMALLEST + 1), self._few(SMALLEST + 1, point))
                return family if known.is_checked else None
        return None

    def _at_new_size(self, point: Point) -> BatchFamily | None:
        """Return the family of a size with events of its own, and remember it."""
        traces = self._few(SMALLEST, point), self._few(SMALLEST + 1, point), self._few(SMALLEST + 2, point)
        with not_collecting():
            family = fit(traces, SMALLEST)
        if family is not None:
            self._known.append(_Known(family))
        return family

    def _few(self, batch: int, point: Point) -> Trace:
        return self.points.trace_with((batch, *point[1:]), self.points.workload_at(point).accumulate)
