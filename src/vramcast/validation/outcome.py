"""What was forecast for a case, and everything that errors and ranges are later worked out from."""

from __future__ import annotations

import time
from collections.abc import Iterable

import msgspec

from vramcast.calibration.families import family_of
from vramcast.errors import VramcastError
from vramcast.validation.case import Case, CaseSet
from vramcast.validation.figures import AS_USER, Figures, Forecaster


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A case and its forecast. Mode, precision and metric are the case's."""

    case_set: str
    """Name of the set the case belongs to."""
    family: str
    case: Case
    figures: Figures | None = None
    """None: there is no forecast, and `error` says why."""
    error: str = ""
    seconds: float = 0.0
    """What the forecast took."""


def forecast_case(case_set: CaseSet, case: Case, by: Forecaster = AS_USER) -> Outcome:
    """Forecast one case; what goes wrong is part of the outcome."""
    started = time.perf_counter()
    figures, error = None, ""
    try:
        figures = case_set.forecast(case, by)
    except VramcastError as reason:
        error = str(reason)
    except Exception as reason:  # a defect of vramcast's own is an outcome as well, and no reason to lose the others
        error = f"{type(reason).__name__}: {reason}"
    return _outcome(case_set, case, figures, error, time.perf_counter() - started)


def killed(case_set: CaseSet, case: Case) -> Outcome:
    """Return the outcome of a case whose process died, as it does when the machine runs out of memory."""
    return _outcome(case_set, case, None, "the process that forecast it was killed, alone as well", 0.0)


def of_case(case_set: CaseSet, case: Case, kept: Outcome) -> Outcome:
    """Return what was kept of a forecast as the outcome of a case that runs the same."""
    return _outcome(case_set, case, kept.figures, kept.error, kept.seconds)


def sample(cases: Iterable[Case], most: int) -> list[Case]:
    """Return at most `most` cases, evenly spread over the set in the order of their ids."""
    ordered = sorted(cases, key=lambda case: case.id)
    if len(ordered) <= most:
        return ordered
    return [ordered[index * len(ordered) // most] for index in range(most)]


def _outcome(case_set: CaseSet, case: Case, figures: Figures | None, error: str, seconds: float) -> Outcome:
    family = family_of(case.model)
    return Outcome(case_set=case_set.name, family=family, case=case, figures=figures, error=error, seconds=round(seconds, 3))
