"""The values of a fit: how far a workload can go on a card, with the very names of the JSON. All sizes are bytes (`int`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import msgspec

from vramcast.answer import Estimate
from vramcast.calibration.interval import most_reserved, most_reserved_at_low_end
from vramcast.family.piece import Point
from vramcast.footprint import CaveatNote, DataSummary, GpuSummary, ModelSummary
from vramcast.served import Served
from vramcast.solvers.points import Points
from vramcast.verdict import Verdict

Varied = Literal["batch", "image", "seq"]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast at one value of what is varied."""

    value: int
    """The batch, the side of the image in pixels, or the sequence's length in tokens."""
    allocated_bytes: int
    reserved_bytes: int
    device_bytes: int
    low_bytes: int
    high_bytes: int
    """Range of `device_bytes`."""
    headroom_bytes: int | None
    fits: bool | None
    verdict: Verdict | None
    """As in an estimate; None where no card was named, as for `fits`."""
    confidence: float | None
    """Share of comparable measured cases that would fit."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """The largest that surely fits, the largest expected to, and the largest that may."""

    schema: str = "vramcast/fit-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    """The workload's fields, at the largest that surely fits; at the smallest tried where none does."""
    gpu: GpuSummary | None
    vary: Varied
    batch: int | None = None
    """Where the batch is varied: the largest at which the upper end of the range fits; None where none does."""
    batch_may: int | None = None
    """The largest at which the lower end of the range fits."""
    image: int | None = None
    image_may: int | None = None
    seq: int | None = None
    seq_may: int | None = None
    surely: Figures | None
    expected: Figures | None
    """The largest whose forecast itself fits."""
    may: Figures | None
    beyond: Figures | None
    """The next value after the largest that may fit; None where the search ended at its end."""
    binding: str
    """Phase of the run that sets the peak at the largest that is expected to fit."""
    smallest: Figures
    """The smallest value tried: what is needed where nothing fits."""
    told_by: str
    """Where the forecasts come from: `family` (a few traces, verified at a further one) or `traces`."""
    notes: tuple[str, ...]
    data: DataSummary | None = None
    """What the data set says; None where none was named."""
    caveats: tuple[CaveatNote, ...]


def figures(value: int, estimate: Estimate) -> Figures:
    """Return what a forecast says in figures."""
    peak = estimate.peak
    return Figures(
        value=value, allocated_bytes=peak.allocated_bytes, reserved_bytes=peak.reserved_bytes, device_bytes=peak.device_bytes,
        low_bytes=peak.low_bytes, high_bytes=peak.high_bytes, headroom_bytes=estimate.headroom_bytes, fits=estimate.fits,
        verdict=estimate.verdict, confidence=estimate.confidence,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Level:
    """How sure it has to be that a value fits."""

    could: Callable[[Served], bool]
    """Whether what the program asks for allows it, with or without the scratch of kernels: no replay is needed."""
    does: Callable[[Served], bool]


def holds(points: Points, point: Point, level: Level) -> bool:
    """Tell whether a point fits. Raises what tracing the point does."""
    return level.could(points.bare(point)) and level.does(points.served(point))


def _could_surely_fit(served: Served) -> bool:
    return served.requested_bytes <= _most_for_all_of_the_range(served)


def _surely_fits(served: Served) -> bool:
    """Whether the whole range lies within what the card has. Mostly what is asked for, or a part of a replay, tells that it does not."""
    if not _could_surely_fit(served) or served.takes_more_than(_most_for_all_of_the_range(served)):
        return False
    return bool(served.fits) and served.range[1] <= _usable(served)


def _could_fit(served: Served) -> bool:
    return served.least_bytes + served.context.typical <= _usable(served)


def _is_expected_to_fit(served: Served) -> bool:
    """Whether the forecast itself lies within what the card has."""
    return bool(served.fits)


def _could_partly_fit(served: Served) -> bool:
    return _could_fit(served) or served.requested_bytes <= _most_for_any_of_the_range(served)


def _may_fit(served: Served) -> bool:
    """Whether any of the range lies within what the card has; mostly a part of a replay tells that it does not."""
    if served.takes_more_than(_most_for_any_of_the_range(served)):
        return bool(served.fits)
    return bool(served.fits) or served.range[0] <= _usable(served)


def _most_for_all_of_the_range(served: Served) -> int:
    return most_reserved(_usable(served), served.context, served.nearest.distribution)


def _most_for_any_of_the_range(served: Served) -> int:
    return most_reserved_at_low_end(_usable(served), served.context, served.nearest.distribution)


SURELY = Level(_could_surely_fit, _surely_fits)
EXPECTED = Level(_could_fit, _is_expected_to_fit)
MAY = Level(_could_partly_fit, _may_fit)


def _usable(served: Served) -> int:
    return served.card.usable_bytes if served.card else 0
