"""The fit: cases in, parameters and what they leave over out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from vramcast.errors import OutputError, UsageError
from vramcast.validation.accuracy import in_first_half
from vramcast.validation.outcome import Outcome
from vramcast.validation.workspace_fit import fitting_cases
from vramcast.validation.workspace_fit.fitting_cases import Judgeable
from vramcast.validation.workspace_fit.forecasting import Forecasts, Progress, forecast_once, forecasting_again
from vramcast.validation.workspace_fit.knobs import KNOBS, start
from vramcast.validation.workspace_fit.loss import constant_of, errors, loss
from vramcast.validation.workspace_fit.search import Losses, search
from vramcast.workspace.cudnn_parameters import ConvolutionParameters, Residual

Counted = Callable[[str], AbstractContextManager[Progress]]
"""A stage's title in, what to tell its progress to out."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Parameters before and after, with the residuals of both, in the same order."""

    before: ConvolutionParameters
    after: ConvolutionParameters
    residuals_before: tuple[Residual, ...]
    residuals_after: tuple[Residual, ...]


def fit(before: ConvolutionParameters, measured: str | None, folder: Path, processes: int, counted: Counted) -> Fit:
    """Fit the parameters on one half of the models, and forecast both halves with those before and after.

    `measured` is the folder of figures that may not be shipped, `folder` where traces are kept.

    Raises:
        InvalidFileError: the figures of a set cannot be read.
        OutputError: traces cannot be kept.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"traces cannot be kept in {str(folder)!r}: {error.strerror}.") from None
    cases = fitting_cases.read(measured)
    after = _searched(start(before), cases, folder, processes, counted)
    with counted("forecasting all cases") as progress:
        found = forecast_once(cases, (before, after), folder, processes, progress)
    return Fit(before, after, residuals(found[0]), residuals(found[1]))


def _searched(
    first: ConvolutionParameters, cases: list[Judgeable], folder: Path, processes: int, counted: Counted
) -> ConvolutionParameters:  # fmt: skip
    usable = fitting_cases.fitted_on(cases)
    with counted("tracing the cases to fit on") as progress:
        _check(forecast_once(usable, (first,), folder, processes, progress)[0])
    for case_sets in dict.fromkeys(knob.case_sets for knob in KNOBS):
        knobs = [knob for knob in KNOBS if knob.case_sets == case_sets]
        tried = fitting_cases.fitted_on(cases, case_sets)
        with forecasting_again(tried, folder, processes) as forecasts, counted(f"fitting on {', '.join(case_sets)}") as progress:
            first = search(first, knobs, _remembered_losses(forecasts), progress)
    return first


def _remembered_losses(forecasts: Forecasts) -> Losses:
    """Return the losses of candidates, each worked out once: most come round again in the search's next turn."""
    known: dict[ConvolutionParameters, float] = {}

    def losses(candidates: Sequence[ConvolutionParameters]) -> list[float]:
        new = [candidate for candidate in candidates if candidate not in known]
        known.update(zip(new, map(loss, forecasts(new))))
        return [known[candidate] for candidate in candidates]

    return losses


def _check(outcomes: Sequence[Outcome]) -> None:
    """Refuse to fit on sets of which nothing could be forecast."""
    for name in dict.fromkeys(outcome.case_set for outcome in outcomes):
        of_set = [outcome for outcome in outcomes if outcome.case_set == name]
        if all(outcome.figures is None for outcome in of_set):
            raise UsageError(f"no case of {name} can be forecast, so nothing is fitted; the first one: {of_set[0].error}")


def residuals(outcomes: Sequence[Outcome]) -> tuple[Residual, ...]:
    """Return the errors by set, precision and half; constants of environments are those of the fitting half."""
    found = []
    for name in dict.fromkeys(outcome.case_set for outcome in outcomes):
        of_set = [outcome for outcome in outcomes if outcome.case_set == name and outcome.figures is not None]
        constant = constant_of(outcome for outcome in of_set if in_first_half(outcome.case.group))
        for precision in dict.fromkeys(outcome.case.workload.precision for outcome in of_set):
            found += [_residual(name, precision, is_fitted, of_set, constant) for is_fitted in (True, False)]
    return tuple(item for item in found if item.cases)


def _residual(name: str, precision: str, is_fitted: bool, outcomes: Sequence[Outcome], constant: int | None) -> Residual:
    part = [item for item in outcomes if item.case.workload.precision == precision and in_first_half(item.case.group) is is_fitted]
    found = errors(part, constant)
    return Residual(
        case_set=name, precision=precision, half="fitted" if is_fitted else "held back", cases=found.cases, median=found.median, p90=found.p90
    )  # fmt: skip
