"""What a study finds: fits over each group of models, over families and series, and the models that lie far off the line."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from vramcast.calibration.families import family_of
from vramcast.provenance import packages
from vramcast.study.models.fits import Fit, fit
from vramcast.study.models.groups import grouped
from vramcast.study.models.measures import INFERENCE, MEASURES, TRAINING
from vramcast.study.models.row import Row
from vramcast.study.models.series import series_of
from vramcast.version import __version__

FEWEST_OF_A_GROUP = 8
"""Models below which a group has no line of its own."""
FEWEST_OF_A_SERIES = 3


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A model far off its group's line through the logarithms."""

    model: str
    factor: float
    """Its bytes over those on the line."""


class GroupFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What is found of models of like tasks."""

    name: str
    models: int
    fits: dict[str, Fit]
    """Measure -> fit."""
    above: dict[str, tuple[Outlier, ...]]
    """`inference` and `training` -> the models furthest above the line, furthest first."""
    below: dict[str, tuple[Outlier, ...]]
    train_over_infer: tuple[float, float, float]
    """Training over inference, allocated bytes: 10th percentile, median, 90th."""


class PartFindings(msgspec.Struct, frozen=True, kw_only=True):
    """What is found of a family, or of a series of sizes, within a group."""

    name: str
    group: str
    models: int
    fits: dict[str, Fit]
    """`inference` and `training` -> fit."""
    factor: float
    """Median of training memory over the group's line; 1 where the group has none."""
    early_share: float
    """Medians over its models in training, of the bytes that are allocated: modules on large feature maps."""
    depthwise_share: float
    """Blocks with depthwise convolutions."""


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters against memory, over many models."""

    schema: str = "vramcast/study-1"
    vramcast: str
    """Version that made it."""
    packages: dict[str, str]
    workload: dict[str, Any]
    """Fields that were given; the others are the defaults of `study`."""
    gpu: str | None
    groups: tuple[GroupFindings, ...]
    families: tuple[PartFindings, ...]
    series: tuple[PartFindings, ...]
    rows: tuple[Row, ...]


OUTLIERS = 10
PRINCIPAL = (INFERENCE, TRAINING)


def findings(rows: Sequence[Row], workload: Mapping[str, Any], gpu: str | None) -> Study:
    """Work out what a study finds; models without both forecasts count in nothing but `rows`."""
    groups = {name: same for name, same in grouped(row for row in rows if row.is_whole).items() if len(same) >= FEWEST_OF_A_GROUP}
    found = {name: _group(name, same) for name, same in groups.items()}
    return Study(
        vramcast=__version__, packages=packages(), workload=dict(workload), gpu=gpu, groups=tuple(found.values()),
        families=tuple(part for name, same in groups.items() for part in _parts(found[name], same, by_family=True)),
        series=tuple(part for name, same in groups.items() for part in _parts(found[name], same, by_family=False)),
        rows=tuple(rows),
    )  # fmt: skip


def factor(row: Row, measure: str, line: Fit) -> float:
    """Return a model's bytes over those on the line through the logarithms; 1 for what has no parameters or takes nothing."""
    size = MEASURES[measure](row)
    if not size or not row.parameters:
        return 1.0
    return math.exp(math.log(size) - line.log_intercept - line.elasticity * math.log(row.parameters))


def _fits(rows: Sequence[Row], measures: Iterable[str]) -> dict[str, Fit]:
    parameters = [row.parameters for row in rows]
    made = {name: fit(parameters, [MEASURES[name](row) for row in rows]) for name in measures}
    return {name: one for name, one in made.items() if one is not None}


def _group(name: str, rows: Sequence[Row]) -> GroupFindings:
    fits = _fits(rows, MEASURES)
    ordered = {measure: sorted(_outliers(rows, measure, fits[measure]), key=lambda one: -one.factor) for measure in PRINCIPAL if measure in fits}
    return GroupFindings(
        name=name, models=len(rows), fits=fits,
        above={measure: tuple(one for one in found[:OUTLIERS] if one.factor > 1) for measure, found in ordered.items()},
        below={measure: tuple(one for one in found[: -OUTLIERS - 1 : -1] if one.factor < 1) for measure, found in ordered.items()},
        train_over_infer=_percentiles([train_over_infer(row) for row in rows]),
    )  # fmt: skip


def _outliers(rows: Sequence[Row], measure: str, line: Fit) -> list[Outlier]:
    return [Outlier(model=row.model, factor=factor(row, measure, line)) for row in rows]


def train_over_infer(row: Row) -> float:
    """Return what training allocates over what inference does."""
    return MEASURES[TRAINING](row) / max(1, MEASURES[INFERENCE](row))


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    cuts = statistics.quantiles(values, n=10, method="inclusive")
    return cuts[0], statistics.median(values), cuts[-1]


def _parts(group: GroupFindings, rows: Sequence[Row], *, by_family: bool) -> Iterable[PartFindings]:
    """Yield the families of a group, or its series of sizes, by name."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(family_of(row.model) if by_family else series_of(row.model), []).append(row)
    for name, same in sorted(parts.items()):
        fits = _fits(same, PRINCIPAL) if len(same) >= FEWEST_OF_A_SERIES else {}
        if fits:
            yield _part(name, group, same, fits)


def _part(name: str, group: GroupFindings, rows: Sequence[Row], fits: dict[str, Fit]) -> PartFindings:
    line = group.fits.get(TRAINING)
    return PartFindings(
        name=name, group=group.name, models=len(rows), fits=fits,
        factor=statistics.median(factor(row, TRAINING, line) for row in rows) if line else 1.0,
        early_share=statistics.median(share(row, "early_bytes") for row in rows),
        depthwise_share=statistics.median(share(row, "depthwise_bytes") for row in rows),
    )  # fmt: skip


def share(row: Row, held: str) -> float:
    """Return a field of `ModeFigures` in bytes as a share of what training allocates."""
    size: int = getattr(row.train, held)
    return size / max(1, MEASURES[TRAINING](row))
