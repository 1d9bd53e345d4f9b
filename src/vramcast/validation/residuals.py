"""From outcomes to what calibration is fitted on: the ratio of measured to forecast bytes of torch's allocator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from vramcast.calibration.groups import Residual, cell_of
from vramcast.calibration.kinds import kind_of_name
from vramcast.confidence import MEASURED_BACKEND
from vramcast.validation.accuracy import environment_constant
from vramcast.validation.outcome import Outcome
from vramcast.validation.summary import Examined

_SMALLEST_SHARE = 0.1
"""Of the constant that stands for the environment: where torch's allocator is forecast to have less, the ratio would be that of the constant's
own scatter."""
_SMALLEST_RATIO = 0.01
"""What stands for a process that is measured at less than the constant alone."""
TOO_SMALL = "torch's allocator has less than a tenth of what the environment's constant stands for"

Choice = Callable[[str], bool]
"""Tells by a case's group whether an environment constant may be fitted on it."""


class Residuals(msgspec.Struct, frozen=True, kw_only=True):
    """What calibration is fitted on."""

    kept: tuple[Residual, ...]
    left_out: dict[str, int]
    """Cases by the reason why they are not in it; none is left out for its error."""


def residuals(examined: Sequence[Examined], may_fit: Choice = lambda _: True) -> Residuals:
    """Return the residuals of some sets; constants of their environments are fitted on the groups `may_fit` names."""
    left_out: Counter[str] = Counter()
    kept: list[Residual] = []
    for item in examined:
        usable = []
        for outcome in item.outcomes:
            reason = item.incomplete.get(outcome.case.id) or _reason_against(outcome)
            if reason:
                left_out[reason] += 1
            else:
                usable.append(outcome)
        constant = _constant(usable, may_fit) if item.case_set.environment else None
        kept += [_residual(outcome, constant) for outcome in usable if not _is_too_small(outcome, constant)]
        left_out[TOO_SMALL] += sum(_is_too_small(outcome, constant) for outcome in usable)
    return Residuals(kept=tuple(kept), left_out=dict(+left_out))


def _reason_against(outcome: Outcome) -> str:
    if outcome.figures is None:
        return "there is no forecast"
    if outcome.case.workload.backend not in (None, MEASURED_BACKEND):
        return "another backend than eager PyTorch"
    return "" if outcome.figures.reserved_bytes else "nothing of torch's allocator is in it"


def _constant(outcomes: Sequence[Outcome], may_fit: Choice) -> int | None:
    fit_on = [outcome for outcome in outcomes if outcome.case.metric == "device" and may_fit(outcome.case.group)]
    return environment_constant(fit_on) if fit_on else None


def _is_too_small(outcome: Outcome, constant: int | None) -> bool:
    assert outcome.figures is not None
    return outcome.case.metric == "device" and outcome.figures.reserved_bytes < _SMALLEST_SHARE * (constant or 0)


def _residual(outcome: Outcome, constant: int | None) -> Residual:
    case, figures = outcome.case, outcome.figures
    assert figures is not None
    forecast, measured = figures.reserved_bytes, case.measured_bytes
    if case.metric == "allocated":
        forecast = figures.allocated_bytes
    elif case.metric == "device":
        measured -= figures.context_bytes if constant is None else constant
    return Residual(
        cell=cell_of(kind_of_name(case.model), case.workload.mode, case.workload.precision), case_set=outcome.case_set, metric=case.metric,
        model=case.model, group=case.group, ratio=max(measured / forecast, _SMALLEST_RATIO),
    )  # fmt: skip
