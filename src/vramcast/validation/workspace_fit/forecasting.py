"""Forecasts of many cases under some parameters: all of them once, or a share of them again and again."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vramcast.trace import Trace
from vramcast.validation import registry
from vramcast.validation.outcome import Outcome, forecast_case
from vramcast.validation.workspace_fit.fitting_cases import Judgeable
from vramcast.validation.workspace_fit.kept_traces import FromKeptTraces
from vramcast.workspace.cudnn_convolution import ConvolutionRule
from vramcast.workspace.cudnn_parameters import ConvolutionParameters
from vramcast.workspace.rules import rules_with

Progress = Callable[[int, int], None]
Forecasts = Callable[[Sequence[ConvolutionParameters]], list[list[Outcome]]]
"""Candidates in; for each of them, the outcome of each case, in the order of the cases."""


def forecast_once(
    cases: Sequence[Judgeable], parameters: Sequence[ConvolutionParameters], folder: Path, processes: int, progress: Progress
) -> list[list[Outcome]]:
    """Return the outcomes of every case, for each of the parameters; each trace is made, where it is not kept yet, and read once."""
    context = multiprocessing.get_context("spawn")
    found: list[list[Outcome]] = [[] for _ in cases]
    with ProcessPoolExecutor(processes, context) as pool:
        futures = {pool.submit(_forecasts_of, item, tuple(parameters), folder): index for index, item in enumerate(cases)}
        try:
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                found[futures[future]] = future.result()
                progress(done, len(cases))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [list(outcomes) for outcomes in zip(*found)]


@contextmanager
def forecasting_again(cases: Sequence[Judgeable], folder: Path, processes: int) -> Iterator[Forecasts]:
    """Yield a function that forecasts the cases for any parameters; each process keeps the traces of its share in memory."""
    context = multiprocessing.get_context("spawn")
    shares = [list(range(start, len(cases), processes)) for start in range(min(processes, len(cases)))]
    with ExitStack() as stack:
        pools = [stack.enter_context(ProcessPoolExecutor(1, context, _take_share, ([cases[index] for index in share], folder))) for share in shares]

        def forecasts(candidates: Sequence[ConvolutionParameters]) -> list[list[Outcome]]:
            futures = [[pool.submit(_forecast_share, candidate) for pool in pools] for candidate in candidates]
            return [_joined(shares, [future.result() for future in row], len(cases)) for row in futures]

        yield forecasts


def _joined(shares: Sequence[Sequence[int]], parts: Sequence[Sequence[Outcome]], count: int) -> list[Outcome]:
    by_index = {index: outcome for share, part in zip(shares, parts) for index, outcome in zip(share, part)}
    return [by_index[index] for index in range(count)]


def _forecasts_of(item: Judgeable, parameters: Sequence[ConvolutionParameters], folder: Path) -> list[Outcome]:
    remembered: dict[str, Trace] = {}
    return [_forecast(item, candidate, folder, remembered) for candidate in parameters]


def _forecast(item: Judgeable, parameters: ConvolutionParameters, folder: Path, remembered: dict[str, Trace]) -> Outcome:
    case_set = registry.find(item.case_set)
    return forecast_case(case_set, item.case, FromKeptTraces(case_set, folder, rules_with(ConvolutionRule(parameters)), remembered))


_share: list[Judgeable] = []
_folder = Path()
_remembered: dict[str, Trace] = {}
"""What a process of `forecasting_again` works on, all its life."""


def _take_share(share: list[Judgeable], folder: Path) -> None:
    global _share, _folder
    _share, _folder = share, folder


def _forecast_share(parameters: ConvolutionParameters) -> list[Outcome]:
    is_first = not _remembered
    outcomes = [_forecast(item, parameters, _folder, _remembered) for item in _share]
    if is_first:
        gc.freeze()  # the traces stay: the collector need not look through them again
    return outcomes
