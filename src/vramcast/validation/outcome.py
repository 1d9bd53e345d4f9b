"""Forecasts of many cases, in parallel processes."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Sequence

import msgspec

from vramcast.errors import VramcastError
from vramcast.validation.case import Case


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was forecast for a case."""

    case: Case
    forecast_bytes: int = 0
    """In the case's metric; for `device` without the CUDA context, which the environment constant holds."""
    error: str = ""
    """Why there is no forecast."""


def forecast_case(case: Case) -> Outcome:
    """Forecast one case; what goes wrong is part of the outcome."""
    from vramcast.pipeline import estimate

    try:
        peak = estimate(case.model, case.workload, case.gpu).peak
    except VramcastError as error:
        return Outcome(case=case, error=str(error))
    return Outcome(case=case, forecast_bytes=peak.allocated_bytes if case.metric == "allocated" else peak.reserved_bytes)


def forecast_all(cases: Sequence[Case], processes: int, progress: Callable[[int, int], None]) -> list[Outcome]:
    """Forecast cases in parallel, in the order given; `progress(done, all)` is called as they come."""
    ordered = sorted(cases, key=lambda case: case.id)
    context = multiprocessing.get_context("spawn")
    outcomes: list[Outcome] = []
    with concurrent.futures.ProcessPoolExecutor(processes, mp_context=context) as pool:
        for outcome in pool.map(forecast_case, ordered):
            outcomes.append(outcome)
            progress(len(outcomes), len(ordered))
    return outcomes


def sample(cases: Iterable[Case], most: int) -> list[Case]:
    """Return at most `most` cases, evenly spread over the set in the order of their ids."""
    ordered = sorted(cases, key=lambda case: case.id)
    if len(ordered) <= most:
        return ordered
    return [ordered[index * len(ordered) // most] for index in range(most)]
