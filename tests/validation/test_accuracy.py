"""How errors are counted, and what is fitted on which half."""

from __future__ import annotations

import pytest
from hand_made_outcomes import failed, outcome

from vramcast.validation.accuracy import accuracy, environment_constant, in_first_half, judge
from vramcast.validation.outcome import sample
from vramcast.validation.targets import hold


def test_constant_is_the_difference_that_all_cases_share() -> None:
    outcomes = [outcome(index, index * 1000, index * 1000 + 700) for index in range(1, 9)]
    assert environment_constant(outcomes) == 700


def test_errors_are_reported_of_the_half_nothing_was_fitted_on() -> None:
    fitted = [outcome(index, 1000, 1500) for index in range(40) if in_first_half(f"timm:model{index}")]
    judged = [outcome(index, 1000, 3000) for index in range(40) if not in_first_half(f"timm:model{index}")]
    verdict = judge([*fitted, *judged], is_fitted=True)
    assert (verdict.constant_bytes, len(verdict.judged)) == (500, len(judged))
    found = accuracy(verdict.judged)
    assert (found.median, found.bias) == pytest.approx((0.5, -0.5))


def test_the_constant_belongs_to_device_memory_alone() -> None:
    device = [outcome(index, 1000, 1500) for index in range(40)]
    reserved = [outcome(index, 1000, 1000, metric="reserved") for index in range(40, 80)]
    verdict = judge([*device, *reserved], is_fitted=True)
    assert sum(item.outcome.case.metric == "reserved" for item in verdict.judged) == 40
    assert accuracy(verdict.judged).largest == 0


@pytest.mark.parametrize(("metric", "forecast"), [("allocated", 500), ("reserved", 1000), ("device", 1300)])
def test_each_metric_is_held_against_its_own_figure(metric: str, forecast: int) -> None:
    verdict = judge([outcome(1, 1000, 1000, metric=metric, context=300)], is_fitted=False)  # type: ignore[arg-type]
    assert verdict.judged[0].forecast_bytes == forecast
    assert verdict.judged[0].error == pytest.approx(forecast / 1000 - 1)


def test_percentiles_and_failures() -> None:
    verdict = judge([*(outcome(index, 100 + index, 100) for index in range(10)), failed(11)], is_fitted=False)
    found = accuracy(verdict.judged)
    assert (found.cases, len(verdict.failures)) == (10, 1)
    assert (found.median, found.p90, found.p95, found.largest) == pytest.approx((0.04, 0.08, 0.09, 0.09))
    assert (found.bias, found.low, found.high) == pytest.approx((0.04, 0.0, 0.09))


def test_halves_are_about_equal_and_always_the_same() -> None:
    share = sum(in_first_half(f"timm:model{index}") for index in range(1000)) / 1000
    assert 0.45 < share < 0.55
    assert [in_first_half(name) for name in ("timm:resnet50", "torchvision:vgg16", "torchvision:resnet50")] == [False, True, False]


def test_sample_is_spread_evenly() -> None:
    cases = [outcome(index, 1, 1).case for index in range(100)]
    assert [case.id for case in sample(cases, 4)] == ["000", "025", "050", "075"]
    assert len(sample(cases, 1000)) == 100


def test_targets_are_met_missed_or_not_run() -> None:
    close = judge([outcome(index, 105, 100, metric="reserved") for index in range(9)] + [outcome(9, 200, 100, metric="reserved")], is_fitted=False)
    results = {(item.case_set, item.statement): item for item in hold({"ultralytics-logs": close})}
    median, within, refused = (item for item in results.values() if item.case_set == "ultralytics-logs")
    assert (refused.found, refused.is_met) == (0, True)  # a hundred bytes fit anywhere
    assert (median.is_met, median.found) == (True, pytest.approx(0.05))
    assert (within.is_met, within.found) == (True, pytest.approx(0.9))
    assert all(item.is_met is None for item in results.values() if item.case_set == "timm-a100")
    far = judge([outcome(1, 200, 100, metric="reserved")], is_fitted=False)
    assert [item.is_met for item in hold({"ultralytics-logs": far}) if item.case_set == "ultralytics-logs"] == [False, False, True]
