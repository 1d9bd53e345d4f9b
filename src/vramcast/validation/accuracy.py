"""How far forecasts lie from what was measured."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from vramcast.validation.figures import Figures
from vramcast.validation.outcome import Outcome


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome with the error it is judged by."""

    outcome: Outcome
    forecast_bytes: int
    """In the case's metric; for `device` with the fitted constant, or else with the forecast of the context."""
    error: float
    """(forecast - measured) / measured: negative where the forecast is too low."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A set judged."""

    judged: tuple[Judged, ...]
    failures: tuple[Outcome, ...]
    """Cases without a forecast."""
    constant_bytes: int | None
    """The environment constant, fitted on the cases that are not judged; None where none is fitted."""


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of some judged cases."""

    cases: int
    median: float
    """Median of the absolute errors, as the percentiles and the largest."""
    p90: float
    p95: float
    largest: float
    bias: float
    """Median of the signed errors: negative where forecasts are too low."""
    low: float
    """5th percentile of the signed errors."""
    high: float
    """95th percentile of the signed errors."""


def judge(outcomes: Sequence[Outcome], *, is_fitted: bool) -> Verdict:
    """Return the errors; with `is_fitted`, a constant is fitted on one half of the groups and the other half is judged.

    The constant takes the context's place in the device memory; other metrics have no part in it.
    """
    answered = [outcome for outcome in outcomes if outcome.figures is not None]
    fitted_on = [outcome for outcome in answered if is_fitted and _is_to_fit_on(outcome)]
    constant = environment_constant(fitted_on) if fitted_on else None
    judged = tuple(judge_with(outcome, constant) for outcome in answered if not (is_fitted and _is_to_fit_on(outcome)))
    return Verdict(judged=judged, failures=tuple(outcome for outcome in outcomes if outcome.figures is None), constant_bytes=constant)


def _is_to_fit_on(outcome: Outcome) -> bool:
    return outcome.case.metric == "device" and in_first_half(outcome.case.group)


def accuracy(judged: Iterable[Judged]) -> Accuracy:
    """Return median, percentiles and bias of the errors; zeros for no case."""
    signed = sorted(item.error for item in judged)
    absolute = sorted(map(abs, signed))
    return Accuracy(
        cases=len(signed), median=quantile(absolute, 0.5), p90=quantile(absolute, 0.9), p95=quantile(absolute, 0.95),
        largest=quantile(absolute, 1.0), bias=quantile(signed, 0.5), low=quantile(signed, 0.05), high=quantile(signed, 0.95),
    )  # fmt: skip


def environment_constant(outcomes: Sequence[Outcome]) -> int:
    """Return the constant that makes the median absolute relative error smallest, in bytes.

    It is one of the differences between measured and forecast, for between two of them nothing is gained.
    """
    pairs = [(outcome.figures.reserved_bytes, outcome.case.measured_bytes) for outcome in outcomes if outcome.figures is not None]
    candidates = sorted({measured - forecast for forecast, measured in pairs})
    return min(candidates, key=lambda constant: statistics.median(abs((forecast + constant) / measured - 1) for forecast, measured in pairs))


def in_first_half(group: str) -> bool:
    """Tell which half a group falls in: by its name's hash, so that it is the same everywhere and for ever."""
    return hashlib.sha256(group.encode()).digest()[0] % 2 == 0


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` of them do not exceed; 0 for none."""
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 1_000_000) // 1_000_000) - 1))]


def judge_with(outcome: Outcome, constant: int | None) -> Judged:
    """Return the error of one forecast; None: the context is as forecast."""
    assert outcome.figures is not None
    forecast = _in_metric(outcome.figures, outcome.case.metric, constant)
    return Judged(outcome=outcome, forecast_bytes=forecast, error=forecast / outcome.case.measured_bytes - 1)


def _in_metric(figures: Figures, metric: str, constant: int | None) -> int:
    if metric == "device":
        return figures.reserved_bytes + (figures.context_bytes if constant is None else constant)
    return int(getattr(figures, f"{metric}_bytes"))
