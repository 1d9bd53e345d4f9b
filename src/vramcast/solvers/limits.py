"""The values of a fit: how far a workload can go on a card, with the very names of the JSON. All sizes are bytes (`int`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from vramcast.answer import Estimate
from vramcast.calibration.interval import most_reserved
from vramcast.family.piece import Point
from vramcast.footprint import CaveatNote, DataSummary, GpuSummary, ModelSummary
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


Holds = Callable[[Points, Point], bool]
"""What a search asks about a point. Raises what tracing the point does."""


def surely_fits(points: Points, point: Point) -> bool:
    """Whether the whole range lies within what the card has. Mostly what is asked for, or a part of a replay, tells that it does not."""
    bare, usable = points.bare(point), _usable(points)
    most = most_reserved(usable, bare.context, bare.nearest.distribution)
    if bare.requested_bytes > most:
        return False
    served = points.served(point)
    if served.requested_bytes > most or served.takes_more_than(most):
        return False
    return bool(served.fits) and served.range[1] <= usable


def is_expected_to_fit(points: Points, point: Point) -> bool:
    """Whether the forecast itself lies within what the card has."""
    bare = points.bare(point)
    return bare.least_bytes + bare.context.typical <= _usable(points) and bool(points.served(point).fits)


def may_fit(points: Points, point: Point) -> bool:
    """Whether any of the range lies within what the card has."""
    return is_expected_to_fit(points, point) or points.served(point).range[0] <= _usable(points)


def _usable(points: Points) -> int:
    return points.card.usable_bytes if points.card else 0
