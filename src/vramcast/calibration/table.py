"""The table of groups that is shipped with vramcast, `residuals.json`, and what it says of a workload.

`vramcast validate --calibrate` writes it: quantiles of measured to forecast memory, no measured figure.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import msgspec

from vramcast.calibration.distribution import COVERAGE, LEVELS, Distribution
from vramcast.calibration.groups import Cell, Group
from vramcast.calibration.kinds import WORDS
from vramcast.version import __version__

FILE = "residuals.json"
WIDENED = 2.0
"""How much further from the median ratios are taken, on a logarithmic scale, where the workload's own cell has too few cases. What it covers
of cells that are left out, as if they had not been measured, stands in docs/accuracy.md."""
LEAST_MODELS = 5
"""Networks below which a cell's cases do not speak for others of their kind, however many they are: its range is widened as well."""
_MODES = {"train": "training", "infer": "inference"}
_PRECISIONS = {"fp32": "fp32", "amp": "AMP", "half": "half precision"}


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Groups in the order in which a range is looked for."""

    schema: str = "vramcast/residuals-1"
    vramcast: str = __version__
    """Version whose forecasts were held against the measured figures."""
    packages: dict[str, str]
    """Versions of the packages the models came from."""
    coverage: float = COVERAGE
    levels: tuple[float, ...] = LEVELS
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Comparable:
    """The measured cases that come closest to a workload."""

    distribution: Distribution
    """Of measured to forecast memory, widened where the cases are of another cell."""
    cases: int
    is_same_cell: bool
    """The cases are of the same kind of network, mode and precision, and of several networks."""
    words: str
    """`409 measured cases: convolutional networks, fp32 training`."""


def comparable(cell: Cell, groups: Sequence[Group] | None = None) -> Comparable:
    """Return what the narrowest group says that holds a cell: of the table shipped with vramcast, where no groups are given."""
    group = next(group for group in (shipped().groups if groups is None else groups) if group.cell.holds(cell))
    said = f"{group.cases} measured cases: {words(group.cell)}"
    if group.cell == cell and group.models >= LEAST_MODELS:
        return Comparable(group.distribution, group.cases, True, said)
    why = "too few are closer" if group.cell != cell else f"from {group.models} models only"
    return Comparable(group.distribution.widened(WIDENED), group.cases, False, f"{said}; widened, {why}")


def of_all_cases(backend: str) -> Comparable:
    """Return what all cases say together, all being of eager PyTorch, of a backend that none of them ran on."""
    group = shipped().groups[-1]
    return Comparable(
        group.distribution.widened(WIDENED), group.cases, False, f"{group.cases} measured cases of eager PyTorch; widened, none ran on {backend}"
    )


@functools.cache
def shipped() -> Table:
    """Return the table shipped with vramcast."""
    return msgspec.json.decode(resources.files("vramcast.calibration").joinpath(FILE).read_bytes(), type=Table)


def words(cell: Cell) -> str:
    """Return what a cell holds: `convolutional networks, fp32 training`."""
    kind = WORDS.get(cell.kind or "", "networks of all kinds")
    mode, precision = _MODES.get(cell.mode or ""), _PRECISIONS.get(cell.precision or "")
    return ", ".join([kind, " ".join(filter(None, (precision, mode)))] if mode or precision else [kind])
