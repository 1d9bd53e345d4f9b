"""From the ratios of comparable cases to a range of device memory. Sizes are bytes."""

from __future__ import annotations

import math

from vramcast.calibration.distribution import Distribution
from vramcast.gpu.context import ContextRange

_LARGEST = 2**63 - 1
"""Sizes are 64-bit integers everywhere; workloads beyond any card come near."""


def device_range(reserved: int, context: ContextRange, ratios: Distribution) -> tuple[int, int]:
    """Return the ends of the range of device memory around `reserved + context.typical`.

    Both parts lie at the same end at once, so that the range is wider than if their errors were taken to be independent.
    """
    low, high = math.floor(reserved / ratios.spread), math.ceil(reserved * ratios.spread)
    return min(low, reserved) + context.low, min(max(high, reserved) + context.high, _LARGEST)


def most_reserved(usable: int, context: ContextRange, ratios: Distribution) -> int:
    """Return what may be reserved, about, for the whole range to lie within `usable`: with more it certainly does not."""
    return math.floor((usable - context.high) / ratios.spread) + 1


def most_reserved_at_low_end(usable: int, context: ContextRange, ratios: Distribution) -> int:
    """Return what may be reserved, about, for the low end of the range to lie within `usable`: with more it certainly does not."""
    return math.ceil((usable - context.low + 1) * ratios.spread) + 1
