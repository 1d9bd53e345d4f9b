"""What the shipped table says of workloads that no measured case resembles."""

from __future__ import annotations

from vramcast.calibration.table import of_all_cases, shipped


def test_a_backend_without_measured_cases_has_the_widest_range() -> None:
    found = of_all_cases("tensorrt")
    narrow = shipped().groups[-1].distribution
    assert not found.is_same_cell
    assert "none ran on tensorrt" in found.words
    for factor in (1.2, 1.5, 2.0):
        assert found.distribution.share_within(factor) <= narrow.share_within(factor)
