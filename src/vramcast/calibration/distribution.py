"""How measured memory lies around forecasts: what some measured cases speak for, by split conformal prediction.

A new case is as likely to fall into any of the n + 1 gaps that n exchangeable cases leave (Vovk, Gammerman, Shafer: Algorithmic Learning in
a Random World, 2005, chapter 2; Lei et al.: Distribution-Free Predictive Inference for Regression, JASA 2018, theorem 2.2). Two things follow:

- The ceil((n + 1)(1 - a))-th smallest of the distances |log(measured / forecast)| bounds that of a new case with a probability of at least
  1 - a, whatever the distribution. The range is as wide on either side of the forecast, on a logarithmic scale: with a tail of its own on
  each side, the few cases that are far off would set an end alone until there are many more.
- The i-th smallest ratio stands at the level i / (n + 1), from which comes the confidence that a card is enough.

Known limits: cases of one model at several batches are not exchangeable with those of other models, so that the promise is held only as far
as models are many; what was really covered is measured on models held back (docs/accuracy.md). Beyond the outermost ratios nothing is known;
there the rest of the probability is spread as far again as they lie from the median, on a logarithmic scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

COVERAGE = 0.95
"""Share of new cases a range is to hold."""
LEVELS = (
    0.0, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.975, 0.99, 0.995, 1.0,
)  # fmt: skip
"""Where the distribution is written down; straight in between, over the ratio's logarithm."""
_ROUNDING = 1e-9
"""Sums of shares are no exact decimals."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Ratios of measured to forecast memory."""

    spread: float
    """The range that holds `COVERAGE` of new cases: from forecast / spread to forecast * spread; at least 1."""
    quantiles: tuple[float, ...]
    """At `LEVELS`; they do not decrease."""

    def share_within(self, ratio: float) -> float:
        """Return the share of new cases whose ratio is at most this one; it does not fall where the ratio rises."""
        if ratio <= self.quantiles[0]:
            return 0.0
        if ratio >= self.quantiles[-1]:
            return 1.0
        return float(np.interp(math.log(ratio), np.log(self.quantiles), LEVELS))

    def widened(self, factor: float) -> Distribution:
        """Return the distribution with measured memory `factor` times as far from the forecast, on a logarithmic scale."""
        return Distribution(self.spread**factor, tuple(ratio**factor for ratio in self.quantiles))


def distribution(ratios: Sequence[float], weights: Sequence[float] | None = None) -> Distribution:
    """Return what positive ratios speak for; `weights`, where some count more than others, need not add up to one.

    With unequal weights, `effective_cases` takes the place of n, and the promise is no longer exact.
    """
    share = np.full(len(ratios), 1 / len(ratios)) if weights is None else np.asarray(weights, float) / np.sum(weights)
    seen = effective_cases(share) / (effective_cases(share) + 1)  # the rest is the share of the case to come
    logs = np.log(np.asarray(ratios, float))
    return Distribution(_ratio(_bound(np.abs(logs), share * seen)), tuple(map(_ratio, _quantiles(logs, share, seen))))


def effective_cases(weights: Sequence[float] | Floats) -> float:
    """Return how many equal weights are worth as much: (sum w)² / sum w² (Kish: Survey Sampling, 1965, section 11.7)."""
    return float(np.sum(weights) ** 2 / np.square(weights).sum())


def _bound(distances: Floats, share: Floats) -> float:
    """Return the smallest distance that `COVERAGE` of the shares do not exceed; with too few cases, twice the largest."""
    order = np.argsort(distances, kind="stable")
    place = int(np.searchsorted(np.cumsum(share[order]), COVERAGE - _ROUNDING))
    return float(distances[order[place]]) if place < len(order) else 2 * float(distances.max())


def _quantiles(logs: Floats, share: Floats, seen: float) -> Floats:
    """Return the quantiles at `LEVELS`."""
    order = np.argsort(logs, kind="stable")
    logs, share = logs[order], share[order]
    levels = (1 - seen) / 2 + seen * (np.cumsum(share) - share / 2)
    median = np.interp(0.5, levels, logs)
    ends = 2 * logs[0] - median, 2 * logs[-1] - median
    return np.asarray(np.interp(LEVELS, [0.0, *levels, 1.0], [ends[0], *logs, ends[1]]))


def _ratio(log: float) -> float:
    """Return what a logarithm is of, to five digits."""
    return float(f"{math.exp(log):.5g}")
