"""The law of split conformal prediction, on cases that are exchangeable by construction; and what the lookup falls back on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vramcast.calibration.distribution import COVERAGE, LEVELS, distribution, effective_cases

RATIOS = st.lists(st.floats(0.02, 50), min_size=1, max_size=60)


@settings(max_examples=12, deadline=None)
@given(st.integers(19, 120), st.sampled_from(["normal", "cauchy", "lognormal", "skewed"]), st.integers(0, 2**32 - 1))
def test_new_cases_are_covered_as_promised(count: int, shape: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    draw = {
        "normal": lambda size: random.normal(0, 0.1, size), "cauchy": lambda size: np.clip(0.05 * random.standard_cauchy(size), -5, 5),
        "lognormal": lambda size: random.lognormal(-3, 1, size), "skewed": lambda size: random.exponential(0.1, size) - 0.02,
    }[shape]  # fmt: skip
    rounds = 300
    ratios = np.exp(draw((rounds, count + 1)))
    inside = sum(abs(math.log(row[-1])) <= math.log(distribution(row[:-1]).spread) + 1e-4 for row in ratios) / rounds
    # The chance that a round is covered is at least 95 %: 300 rounds come below 90 % once in 10,000 seeds.
    assert inside >= COVERAGE - 0.05


@settings(max_examples=12, deadline=None)
@given(st.integers(10, 120), st.floats(0.05, 0.95), st.integers(0, 2**32 - 1))
def test_shares_are_those_of_new_cases(count: int, level: float, seed: int) -> None:
    ratios = np.exp(np.random.default_rng(seed).normal(0.02, 0.1, (400, count + 1)))
    shares = np.array([distribution(row[:-1]).share_within(row[-1]) for row in ratios])
    assert abs((shares <= level).mean() - level) < 0.11, "the share of a new case is uniform: binomial, 4 standard deviations"


def test_spread_is_the_distance_of_the_conformal_rank() -> None:
    # 39 cases: ceil(40 * 0.95) = 38th smallest distance, on whichever side it lies.
    ratios = [math.exp((-1) ** place * place / 100) for place in range(1, 40)]
    assert distribution(ratios).spread == pytest.approx(math.exp(0.38), abs=1e-4)
    assert distribution(ratios[:19]).spread == pytest.approx(math.exp(0.19), abs=1e-4)


def test_with_too_few_cases_the_range_goes_beyond_all_of_them() -> None:
    assert distribution([1.1] * 18).spread == pytest.approx(1.21)


def test_quantiles_stand_at_their_ranks() -> None:
    found = distribution([math.exp(place / 100) for place in range(1, 20)])  # the 2nd of 19 at 2 / 20, the 10th at 1/2
    by_level = dict(zip(LEVELS, found.quantiles))
    assert [by_level[level] for level in (0.1, 0.5, 0.95)] == pytest.approx([math.exp(x) for x in (0.02, 0.10, 0.19)], abs=1e-4)
    assert (by_level[0.0], by_level[1.0]) == pytest.approx((math.exp(-0.08), math.exp(0.28)), abs=1e-4)
    assert found.share_within(math.exp(0.10)) == pytest.approx(0.5, abs=1e-3)


@given(RATIOS, st.lists(st.floats(0.001, 100), min_size=2, max_size=6))
def test_the_share_rises_with_the_ratio(ratios: list[float], asked: list[float]) -> None:
    found = distribution(ratios)
    shares = [found.share_within(ratio) for ratio in sorted(asked)]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)
    assert list(found.quantiles) == sorted(found.quantiles)
    assert (found.share_within(0), found.share_within(math.inf)) == (0, 1)


@given(RATIOS, st.floats(1, 3))
def test_widening_never_narrows(ratios: list[float], factor: float) -> None:
    found = distribution(ratios)
    wide = found.widened(factor)
    assert wide.spread >= found.spread >= 1
    assert wide.widened(1) == wide


def test_equal_weights_are_no_weights() -> None:
    ratios = [0.7, 0.9, 1.0, 1.3] * 10
    assert distribution(ratios, [3.0] * 40) == distribution(ratios)
    assert effective_cases([3.0] * 40) == pytest.approx(40)
    assert effective_cases([1, 1, 0.0001]) == pytest.approx(2, abs=1e-3)


def test_heavier_cases_draw_the_distribution_to_them() -> None:
    ratios = [1.0] * 90 + [2.0] * 10
    assert distribution(ratios).share_within(1.5) > 0.85
    balanced = distribution(ratios, [1 / 90] * 90 + [1 / 10] * 10)
    assert balanced.share_within(1.5) == pytest.approx(0.5, abs=0.06)
