"""Ranges hold the forecast."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vramcast.calibration.distribution import distribution
from vramcast.calibration.interval import device_range
from vramcast.gpu.context import ContextRange

RATIOS = st.lists(st.floats(0.05, 20), min_size=20, max_size=60).map(distribution)


@given(st.integers(0, 2**62), st.tuples(*[st.integers(0, 2**31)] * 3).map(sorted), RATIOS)
def test_the_forecast_lies_within_its_range(reserved: int, ends: list[int], ratios: object) -> None:
    context = ContextRange(*ends, "hand-made", is_measured=False)
    low, high = device_range(reserved, context, ratios)
    assert 0 <= low <= min(reserved + context.typical, 2**63 - 1) <= high <= 2**63 - 1


def test_ends_are_those_of_both_parts() -> None:
    ratios = distribution([1.25] * 40)
    assert device_range(1000, ContextRange(10, 20, 30, "", is_measured=False), ratios) == (800 + 10, 1250 + 30)
