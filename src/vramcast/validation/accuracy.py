"""How far forecasts lie from what was measured."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from vramcast.validation.outcome import Outcome


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of a set: (forecast - measured) / measured."""

    cases: int
    failures: int
    constant_bytes: int
    """The environment constant, fitted on the other half; 0 where none is fitted."""
    median: float
    """Median of the absolute errors."""
    p90: float
    p95: float
    bias: float
    """Median of the signed errors: negative where forecasts are too low."""


def judge(outcomes: Sequence[Outcome], *, is_fitted: bool) -> Accuracy:
    """Return the errors; with `is_fitted`, a constant is fitted on one half of the groups and the other half is judged."""
    answered = [outcome for outcome in outcomes if not outcome.error]
    judged = judged_half(outcomes, is_fitted=is_fitted)
    constant = environment_constant([outcome for outcome in answered if outcome not in judged]) if is_fitted else 0
    signed = sorted(errors(judged, constant))
    absolute = sorted(map(abs, signed))
    return Accuracy(
        cases=len(judged), failures=len(outcomes) - len(answered), constant_bytes=constant, median=_quantile(absolute, 0.5),
        p90=_quantile(absolute, 0.9), p95=_quantile(absolute, 0.95), bias=_quantile(signed, 0.5),
    )  # fmt: skip


def judged_half(outcomes: Sequence[Outcome], *, is_fitted: bool) -> list[Outcome]:
    """Return the outcomes that errors are reported of: all, or the half nothing was fitted on."""
    return [outcome for outcome in outcomes if not outcome.error and not (is_fitted and in_first_half(outcome.case.group))]


def errors(outcomes: Iterable[Outcome], constant: int) -> list[float]:
    """Return the signed relative error of each outcome, the constant added to its forecast."""
    return [(outcome.forecast_bytes + constant) / outcome.case.measured_bytes - 1 for outcome in outcomes]


def environment_constant(outcomes: Sequence[Outcome]) -> int:
    """Return the constant that makes the median absolute relative error smallest, in bytes.

    It is one of the differences between measured and forecast, for between two of them nothing is gained.
    """
    candidates = sorted({outcome.case.measured_bytes - outcome.forecast_bytes for outcome in outcomes})
    return min(candidates, key=lambda constant: statistics.median(map(abs, errors(outcomes, constant))), default=0)


def in_first_half(group: str) -> bool:
    """Tell which half a group falls in: by its name's hash, so that it is the same everywhere and for ever."""
    return hashlib.sha256(group.encode()).digest()[0] % 2 == 0


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of them do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1_000_000) // 1_000_000) - 1))]
