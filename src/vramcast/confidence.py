"""How sure it is that a card is enough: the share of comparable measured cases that the card would have served."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vramcast.allocator.room import Room
from vramcast.calibration.distribution import Distribution
from vramcast.calibration.groups import cell_of
from vramcast.calibration.kinds import kind_of
from vramcast.calibration.table import Comparable, comparable, of_all_cases
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.timeline import Timeline
from vramcast.trace import Trace
from vramcast.workload import Workload

MEASURED_BACKEND = "eager"
"""What every measured case ran on whose process memory is known."""
_STEPS = 8
_CLOSE_ENOUGH = 0.01
"""Share of cases below which it does not matter which of two margins is the right one."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A forecast among measured cases."""

    comparable: Comparable
    confidence: float | None
    """Share of them that would fit; None where no card is named."""


def among_measured(
    trace: Trace, wanted: Timeline, workload: Workload, card: GpuSpec | None, replayed: Callable[[Room], Timeline], context: ContextRange
) -> Standing:
    """Find the measured cases that come closest to what was traced, and how many of them would fit.

    `wanted`: what the allocator takes where there is no limit; `replayed`: what it takes of the room it has. The context is taken as is
    typical of the card.
    """
    near = nearest(trace, workload)
    return Standing(near, None if card is None else _confidence(card, trace, wanted, replayed, context.typical, near.distribution))


def nearest(trace: Trace, workload: Workload) -> Comparable:
    """Return the measured cases that come closest to what was traced."""
    if workload.backend not in (None, MEASURED_BACKEND):
        return of_all_cases(workload.backend)
    kind = kind_of(f"{trace.subject.source}:{trace.subject.name}", trace.operators)
    return comparable(cell_of(kind, workload.mode, workload.precision))


def _confidence(card: GpuSpec, trace: Trace, wanted: Timeline, replayed: Callable[[Room], Timeline], context: int, ratios: Distribution) -> float:
    """Return the share of cases whose ratio of measured to forecast memory the card has the margin for, to four decimals.

    A run that takes m times the forecast is taken to end as the forecast one does on a card m times as small. The largest m that is served
    lies between what leaves room for all that is reserved, and what leaves room for the tensors alone: short of memory, the allocator gives
    back its cache, and convolutions go without workspace. It is bisected by replays, where it makes a difference; mostly it makes none.
    """
    room = Room(limit := max(card.usable_bytes - context, 0), card.usable_bytes, card.usable_bytes // 2)
    served, beyond = _times(limit, wanted.peak_reserved), _times(limit, _least_bytes(trace, wanted))
    for _ in range(_STEPS):
        if ratios.share_within(beyond) - ratios.share_within(served) < _CLOSE_ENOUGH:
            break
        middle = math.sqrt(served * beyond)
        limited = replayed(room.divided_by(middle))
        served, beyond = (middle, beyond) if limited.out_of_memory is None else (served, middle)
    return round(ratios.share_within(served), 4)


def _least_bytes(trace: Trace, wanted: Timeline) -> int:
    """Return the peak of what no shortage of memory can do without."""
    sizes = np.where(trace.may_be_refused, 0, wanted.block_sizes)
    changes = np.zeros(len(trace) + 1, np.int64)
    np.add.at(changes, trace.allocated_at, sizes)
    np.add.at(changes, trace.freed_at, -sizes)
    return int(np.cumsum(changes).max())


def _times(room: int, size: int) -> float:
    """Return how many times a size there is room for; nothing needs no room."""
    return room / size if size else math.inf
