"""A fit in words: what changed, and what it does to the errors of both halves."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.validation.workspace_fit.fit import Fit
from vramcast.validation.workspace_fit.knobs import KNOBS


def text(fit: Fit) -> str:
    """Return a table of parameters and one of errors."""
    return "\n".join([*_parameters(fit), "", *_errors(fit)])


def _parameters(fit: Fit) -> Iterator[str]:
    yield f"{'parameter':<30}{'before':>8}{'after':>8}"
    for knob in KNOBS:
        yield f"{f'{knob.section}.{knob.name}':<30}{knob.value_in(fit.before):>8g}{knob.value_in(fit.after):>8g}"


def _errors(fit: Fit) -> Iterator[str]:
    yield f"{'set, precision and half':<44}{'cases':>7}{'median':>18}{'p90':>18}"
    for before, after in zip(fit.residuals_before, fit.residuals_after):
        name = f"{after.case_set}, {after.precision}, {after.half}"
        yield f"{name:<44}{after.cases:>7}{_change(before.median, after.median):>18}{_change(before.p90, after.p90):>18}"


def _change(before: float, after: float) -> str:
    return f"{before:.2%} -> {after:.2%}"
