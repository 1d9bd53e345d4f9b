"""What others report of their estimators on their own data, and how far two of them are off on the sets that come with their figures."""

from __future__ import annotations

import statistics
from collections.abc import Collection

import msgspec

from vramcast.validation.gpumemnet import REAL_MODELS_TABLE, TIMM_TABLE, errors_of


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """An estimator, and the error its own or a later paper reports."""

    name: str
    kind: str
    error: str
    source: str


PUBLISHED = (
    Published(
        name="xMem",
        kind="profile of the first steps on the CPU, replayed through a simulated allocator",
        error="about 3–5 % median, on 5209 runs of 25 models",
        source="Shi, Pezaros, Elkhatib: xMem, Middleware 2025, [arXiv:2510.21048](https://arxiv.org/abs/2510.21048)",
    ),
    Published(
        name="DNNMem",
        kind="closed forms over the computation graph and the framework",
        error="about 20 %",
        source="Gao et al.: Estimating GPU Memory Consumption of Deep Learning Models, ESEC/FSE 2020, "
        "[doi:10.1145/3368089.3417050](https://doi.org/10.1145/3368089.3417050)",
    ),
    Published(
        name="SchedTune",
        kind="machine learning on features of job and card",
        error="about 23 %",
        source="Albahar et al.: SchedTune: A Heterogeneity-Aware GPU Scheduler for Deep Learning, CCGrid 2022",
    ),
    Published(
        name="GPUMemNet",
        kind="classifier over bins of memory, trained on synthetic models",
        error="names a bin; see below",
        source="Yousefzadeh-Asl-Miandoab et al.: CARMA, 2025, [arXiv:2508.19073](https://arxiv.org/abs/2508.19073); "
        "[github.com/itu-rad/GPUMemNet](https://github.com/itu-rad/GPUMemNet)",
    ),
)


class Rival(msgspec.Struct, frozen=True, kw_only=True):
    """How far another estimator's figure lies from the device memory of a set."""

    estimator: str
    case_set: str
    cases: int
    median: float
    """Median of the absolute relative errors."""
    bias: float
    """Median of the signed ones."""
    quartiles: tuple[float, float]
    """The middle half of the signed errors."""


_RUN_BY_OTHERS = (
    ("FakeTensor", "timm-a100", TIMM_TABLE),
    ("FakeTensor", "real-models-a100", REAL_MODELS_TABLE),
    ("GPUMemNet", "real-models-a100", REAL_MODELS_TABLE),
)


def rivals(folder: str, sets: Collection[str]) -> tuple[Rival, ...]:
    """Work out the errors of the estimators whose figures the A100 tables state, on those of these sets that come with such figures.

    Raises:
        InvalidFileError: a table is missing.
    """
    return tuple(_rival(estimator, name, errors_of(estimator, folder, table)) for estimator, name, table in _RUN_BY_OTHERS if name in sets)


def _rival(estimator: str, case_set: str, errors: list[float]) -> Rival:
    lower, bias, upper = statistics.quantiles(errors, n=4, method="inclusive")
    median = statistics.median(map(abs, errors))
    return Rival(estimator=estimator, case_set=case_set, cases=len(errors), median=median, bias=bias, quartiles=(lower, upper))
