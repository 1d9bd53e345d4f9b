"""`vramcast.sweep`: all points of a grid."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vramcast.allocator.config import AllocatorConfig
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.family import TraceFamily
from vramcast.family.piece import Point
from vramcast.footprint import DataSummary
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.solvers.sweep.engines import Engine, engine_named
from vramcast.solvers.sweep.grid import SIZES, Combination, Grid, grid
from vramcast.solvers.sweep.journal import Journal
from vramcast.solvers.sweep.record import Record
from vramcast.solvers.sweep.tables import format_for, write
from vramcast.solvers.sweep.work import Share, check_model, family_of, records_of, shares
from vramcast.solvers.workloads import model_or_count
from vramcast.tracing.cuda.capability_groups import stands_for
from vramcast.workload import Workload, make

Counted = Callable[[int, int], None]
"""Told how many of how many points are done."""
_SHARE = 16
"""Points of a share: some tenths of a second, so that little is lost when one is interrupted."""
_QUICK_SHARE = 2048


def sweep(
    model: str, workload: Workload, axes: Mapping[str, Sequence[Any]], gpus: str | GpuSpec | Sequence[str | GpuSpec] = (), *,
    quick: bool = False, data: Data | None = None, engine: str | None = None, processes: int | None = None,
    output: str | os.PathLike[str] | None = None, progress: Counted | None = None,
) -> list[Record]:  # fmt: skip
    """Forecast at every point of a grid.

    `axes` maps fields of the workload to values: `{"batch": range(1, 65), "image": [320, 640], "precision": ["fp32", "amp-bf16"]}`. With
    several cards, `gpu` is an axis too. With `data`, as for `estimate`, every point is the worst batch; what is an axis is left as it is.
    `quick` asks for the live bytes alone, which need no replay. `engine` is None for the `processes` of this machine (None: one per core),
    or `dask://host:port`. `output` is a file to write, as its ending says; what is done is kept beside it until then, so that the same
    sweep goes on where it was interrupted. A point that cannot be forecast says so in its record.

    Raises:
        UsageError: an unknown model, card, field or engine; values that a field cannot take; a file that cannot be written.
    """
    cards = [gpus] if isinstance(gpus, (str, GpuSpec)) else list(gpus)
    resolved = [resolve(card) if isinstance(card, str) else card for card in cards]
    others = {name: tuple(values) for name, values in axes.items() if name not in SIZES}
    made = for_data(data, model, [(settings, make(workload.as_dict() | settings)) for settings in combined(others)], tuple(axes))[0]
    along = {name: tuple(values) for name, values in axes.items() if name in SIZES}
    shown = [*axes, *(["gpu"] if len(resolved) > 1 else [])]
    asked = replace(grid(model, combinations(made, resolved), along, shown), is_quick=quick)
    path = None if output is None else Path(output)
    form = None if path is None else format_for(path)
    records = run(asked, engine_named(engine, processes or os.cpu_count() or 1), path, progress)
    if path is not None and form is not None:
        write(records, path, form)
        Journal(path, asked.digest()).finish()
    return records


Made = Sequence[tuple[Mapping[str, Any], Workload]]
"""Settings of the axes that are not sizes, and the workload of each."""


def for_data(data: Data | None, model: str, made: Made, axes: Collection[str]) -> tuple[Made, DataSummary | None]:
    """Return each workload as that of the worst batch of a data set, and what that says of the first. Raises `UsageError` as `read_data`."""
    if data is None:
        return made, None
    found = model_or_count(model)
    worst = [(settings, *for_worst_batch(data, workload, found, leaving=axes)) for settings, workload in made]
    return [(settings, workload) for settings, workload, _ in worst], worst[0][2]


def combined(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the values of some axes."""
    return [dict(zip(axes, values)) for values in itertools.product(*axes.values())]


def combinations(made: Sequence[tuple[Mapping[str, Any], Workload]], cards: Sequence[GpuSpec]) -> list[Combination]:
    """Return each setting on each card; the card is one of its settings where there are several."""
    for _, workload in made:
        AllocatorConfig.parse(workload.allocator)  # refused before anything is traced
    if len(cards) < 2:
        return [Combination(settings, workload, cards[0] if cards else None) for settings, workload in made]
    return [Combination({**settings, "gpu": card.name}, workload, card) for settings, workload in made for card in cards]


def run(asked: Grid, engine: Engine, output: Path | None, progress: Counted | None = None) -> list[Record]:
    """Forecast all points, but for those that an interrupted run left beside the output; return their records in order."""
    check_model(asked.model)
    journal = None if output is None else Journal(output, asked.digest())
    done = {} if journal is None else journal.read()
    if journal is not None:
        journal.start(done)
    tell = progress or (lambda _done, _total: None)
    tell(len(done), len(asked))
    for records in engine(records_of, _shares(asked, engine, set(done))):
        new = [(index, record) for index, record in records if index not in done]
        done.update(new)
        if journal is not None and new:
            journal.add(new)
        tell(len(done), len(asked))
    return [done[index] for index in range(len(asked))]


def _shares(asked: Grid, engine: Engine, done: set[int]) -> list[Share]:
    """Return the work that is left, with the families that tell it: one for all cards whose kernels choose alike."""
    left: dict[int, list[tuple[int, Point]]] = {}
    for index, number, point in asked.places():
        if index not in done:
            left.setdefault(number, []).append((index, point))
    alike = {number: _alike(asked.combinations[number]) for number in left}
    firsts = {key: asked.combinations[number] for number, key in reversed(alike.items())}
    families = dict(engine(_keyed_family, [(key, asked, combination) for key, combination in firsts.items()]))
    size = _QUICK_SHARE if asked.is_quick else _SHARE
    return [share for number, places in left.items() for share in shares(asked, asked.combinations[number], families[alike[number]], places, size)]


def _keyed_family(job: tuple[Any, Grid, Combination]) -> tuple[Any, TraceFamily | None]:
    key, asked, combination = job
    return key, family_of(asked, combination)


def _alike(combination: Combination) -> tuple[str, tuple[int, int] | None]:
    capability = combination.card.compute_capability if combination.card else None
    return repr(combination.workload), None if capability is None else stands_for(capability)
