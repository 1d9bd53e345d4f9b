"""What a sweep says of one point."""

from __future__ import annotations

from typing import Any

import msgspec

from vramcast.answer import Estimate
from vramcast.verdict import Verdict


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One point: where it is, and the forecast there. All sizes are bytes (`int`)."""

    axes: dict[str, Any]
    """The value of each axis."""
    live_bytes: int | None = None
    """Peak of the live blocks, rounded: what a quick sweep tells; the allocator counts a little more."""
    allocated_bytes: int | None = None
    reserved_bytes: int | None = None
    device_bytes: int | None = None
    low_bytes: int | None = None
    high_bytes: int | None = None
    """Range of `device_bytes`."""
    fits: bool | None = None
    """None where no card was named; in a quick sweep False where not even the live blocks would fit, else None."""
    verdict: Verdict | None = None
    """As in an estimate; None where `fits` is."""
    confidence: float | None = None
    """Share of comparable measured cases that would fit."""
    components: dict[str, int] = {}
    """Component -> bytes at the peak instant, as in an estimate."""
    error: str | None = None
    """Why there is no forecast at this point."""


def record_of(axes: dict[str, Any], estimate: Estimate) -> Record:
    """Return what a forecast says."""
    peak = estimate.peak
    return Record(
        axes=axes, allocated_bytes=peak.allocated_bytes, reserved_bytes=peak.reserved_bytes, device_bytes=peak.device_bytes,
        low_bytes=peak.low_bytes, high_bytes=peak.high_bytes, fits=estimate.fits,
        verdict=estimate.verdict, confidence=estimate.confidence,
        components={name: size for name, size in estimate.components.items() if size},
    )  # fmt: skip
