"""Forecasts of many cases, in parallel processes, going on where an earlier run stopped."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from vramcast.validation import registry
from vramcast.validation.case import Case, CaseSet
from vramcast.validation.fingerprint import fingerprint
from vramcast.validation.outcome import Outcome, forecast_case, killed, of_case
from vramcast.validation.results import Results
from vramcast.worker_pool import in_processes

Progress = Callable[[int, int], None]


def forecast_all(case_set: CaseSet, cases: Sequence[Case], results: Results, processes: int, progress: Progress) -> list[Outcome]:
    """Forecast cases in parallel, in the order of their ids; `progress(done, all)` is called as they come.

    Outcomes that `results` holds are taken from there; new ones are kept there at once. Cases that run the same, as the several figures of one
    run do, are forecast once.
    """
    keys = {case.id: fingerprint(case_set, case) for case in cases}
    found = {case.id: of_case(case_set, case, outcome) for case in cases if (outcome := results.find(keys[case.id])) is not None}
    progress(len(found), len(cases))
    alike: dict[str, list[Case]] = {}
    for case in cases:
        if case.id not in found:
            alike.setdefault(keys[case.id], []).append(case)
    for outcome in _forecasts(case_set, [same[0] for same in alike.values()], processes):
        key = keys[outcome.case.id]
        results.keep(key, outcome)
        found |= {case.id: of_case(case_set, case, outcome) for case in alike[key]}
        progress(len(found), len(cases))
    return [found[case.id] for case in sorted(cases, key=lambda case: case.id)]


def _forecasts(case_set: CaseSet, cases: Sequence[Case], processes: int) -> Iterator[Outcome]:
    """Yield outcomes as they come."""
    work = functools.partial(_forecast, case_set.name)
    for _, outcome in in_processes(work, cases, processes, functools.partial(killed, case_set)):
        yield outcome


def _forecast(name: str, case: Case) -> Outcome:
    return forecast_case(registry.find(name), case)
