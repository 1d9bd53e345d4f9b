"""Straight lines through many models: least squares on figures and on their logarithms, R², and rank correlation."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

FEWEST = 3
"""Points below which a line says nothing."""


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """How a figure in bytes goes with the number of parameters."""

    models: int
    slope: float
    """Bytes per parameter, by least squares."""
    intercept_bytes: float
    r_squared: float
    """Share of the variance that the line explains; 0 where it explains none, or nothing varies."""
    elasticity: float
    """Slope of the line through the logarithms: 1 where bytes grow with parameters, 0 where they do not."""
    log_intercept: float
    """Natural logarithm of the bytes at one parameter, on that line."""
    log_r_squared: float
    spearman: float
    """Spearman's rank correlation, ties at their mean rank."""


def fit(parameters: Sequence[int], sizes: Sequence[int]) -> Fit | None:
    """Return the fit; None where there are too few models, or all have the same number of parameters.

    Logarithms are taken of the models that have parameters and bytes.
    """
    x, y = np.array(parameters, float), np.array(sizes, float)
    if len(x) < FEWEST or np.ptp(x) == 0:
        return None
    slope, intercept, r_squared = line(x, y)
    positive = (x > 0) & (y > 0)
    logs = line(np.log(x[positive]), np.log(y[positive])) if positive.sum() >= FEWEST and np.ptp(x[positive]) else (0.0, 0.0, 0.0)
    return Fit(
        models=len(x), slope=slope, intercept_bytes=intercept, r_squared=r_squared, elasticity=logs[0], log_intercept=logs[1],
        log_r_squared=logs[2], spearman=spearman(x, y),
    )  # fmt: skip


def line(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return slope, intercept and R² of the least-squares line."""
    from_mean, of_y = x - x.mean(), y - y.mean()
    slope = float(from_mean @ of_y / (from_mean @ from_mean))
    total = float(of_y @ of_y)
    rest = float(((of_y - slope * from_mean) ** 2).sum())
    return slope, float(y.mean() - slope * x.mean()), 1 - rest / total if total else 0.0


def spearman(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """Return Pearson's correlation of the ranks; 0 where one side does not vary."""
    first, second = (ranks - ranks.mean() for ranks in (_ranks(x), _ranks(y)))
    norm = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / norm if norm else 0.0


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    mean: npt.NDArray[np.float64] = (ends - (counts - 1) / 2)[place]
    return mean
