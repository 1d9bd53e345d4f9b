"""What ranges really cover: fitted on one half of the models, held against the cases of the other; and the table that is shipped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.calibration.groups import Cell, Group, Residual, groups
from vramcast.calibration.table import Table, comparable
from vramcast.errors import UsageError
from vramcast.provenance import packages
from vramcast.validation.accuracy import in_first_half
from vramcast.validation.residuals import residuals
from vramcast.validation.summary import Examined


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """How many cases lay within their ranges."""

    cases: int
    inside: int
    width: float
    """Mean of high less low, as a share of the forecast."""

    @property
    def share(self) -> float:
        """Inside, of all."""
        return self.inside / self.cases if self.cases else 0.0


class CellCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """The ranges of one cell."""

    cell: Cell
    held_back: Covered
    """Fitted on one half of the models, held against the other; each half once."""
    as_if_unmeasured: Covered | None
    """Fitted on all other cells, with what their groups say of one that was not measured; None where there is no other cell."""


def table(examined: Sequence[Examined]) -> Table:
    """Fit the table that is shipped, on every case.

    Raises:
        UsageError: there is no case to fit it on.
    """
    kept = residuals(examined).kept
    if not kept:
        raise UsageError("there is no case to calibrate on. Name sets whose cases have forecasts, and their folder with --measured.")
    return Table(packages=packages(), groups=groups(kept))


def write(path: Path, examined: Sequence[Examined]) -> None:
    """Write the table. Raises as `table`, and `OutputError` when the path cannot be written."""
    text = msgspec.json.format(msgspec.json.encode(table(examined)), indent=1)
    write_atomically(path, lambda file: file.write(text + b"\n"))


def coverage(examined: Sequence[Examined]) -> tuple[CellCoverage, ...]:
    """Return what is covered in each cell, all of them last, under the cell that leaves everything open."""
    crossed = [item for is_first in (True, False) for item in _of_half(examined, is_first)]
    kept = residuals(examined).kept
    cells = sorted({item.cell for item in kept}, key=str)
    left_out = {cell: _as_if_unmeasured(cell, kept) for cell in cells}
    found = [CellCoverage(cell=cell, held_back=_covered(crossed, cell), as_if_unmeasured=left_out[cell]) for cell in cells]
    everything = CellCoverage(cell=Cell(None, None, None), held_back=_covered(crossed, Cell(None, None, None)), as_if_unmeasured=None)
    return (*found, everything) if kept else ()


Judged = tuple[Residual, float]
"""A residual and its range: from one over this number to this number."""


def _of_half(examined: Sequence[Examined], is_first: bool) -> Iterable[Judged]:
    """Yield the cases of one half of the models, with ranges and constants fitted on the other."""
    found = residuals(examined, lambda group: in_first_half(group) != is_first).kept
    fitted = groups([item for item in found if in_first_half(item.group) != is_first])
    judged = [item for item in found if in_first_half(item.group) == is_first]
    return [_judged(item, fitted) for item in judged] if fitted else []


def _as_if_unmeasured(cell: Cell, kept: Sequence[Residual]) -> Covered | None:
    others = [item for item in kept if item.cell != cell]
    if not others:
        return None
    fitted = groups(others)
    return _covered([_judged(item, fitted) for item in kept if item.cell == cell], cell)


def _judged(residual: Residual, fitted: Sequence[Group]) -> Judged:
    return residual, comparable(residual.cell, fitted).distribution.spread


def _covered(judged: Sequence[Judged], cell: Cell) -> Covered:
    part = [(item.ratio, spread) for item, spread in judged if cell.holds(item.cell)]
    inside = sum(1 / spread <= ratio <= spread for ratio, spread in part)
    width = sum(spread - 1 / spread for _, spread in part) / len(part) if part else 0.0
    return Covered(cases=len(part), inside=inside, width=width)
