"""Measured cases sorted into groups of what is comparable, and each group's distribution.

A group is of one kind of network, one mode and one precision, or leaves some of the three open. Where it leaves any open, none of its cells
(what is of the same three) counts for more than `LEAST_CASES` cases, however many it has: hundreds of one cell must not drown another's, as
what is asked about is of neither.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from vramcast.calibration.distribution import Distribution, distribution, effective_cases

LEAST_CASES = 20
"""Effective cases below which a group has no range of its own: the case furthest off would not bound enough of those to come (19 are the
fewest with which it does)."""
_PRECISIONS = {"fp32": "fp32", "tf32": "fp32", "fp16": "half", "bf16": "half", "amp-fp16": "amp", "amp-bf16": "amp"}


class Cell(msgspec.Struct, frozen=True):
    """Kind of network, mode (`train`, `infer`) and class of precision (`fp32`, `amp`, `half`); None: any."""

    kind: str | None
    mode: str | None
    precision: str | None

    def holds(self, other: Cell) -> bool:
        """Tell whether another cell is part of this one."""
        return all(mine in (None, theirs) for mine, theirs in zip(_fields(self), _fields(other)))


class Residual(msgspec.Struct, frozen=True, kw_only=True):
    """How far off one forecast was."""

    cell: Cell
    case_set: str
    metric: str
    model: str
    group: str
    """What must not sit on both sides where some cases are held back: mostly the model."""
    ratio: float
    """Measured to forecast bytes of torch's allocator, > 0."""


class Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of the cases of a cell."""

    cell: Cell
    cases: int
    models: int
    """How many networks the cases are of."""
    sets: dict[str, int]
    """Cases by set."""
    metrics: dict[str, int]
    spread: float
    quantiles: tuple[float, ...]
    """Both as in `Distribution`."""

    @property
    def distribution(self) -> Distribution:
        """The ratios of measured to forecast memory."""
        return Distribution(self.spread, self.quantiles)


def cell_of(kind: str, mode: str, precision: str) -> Cell:
    """Return the cell of a workload; `precision` as workloads name it."""
    return Cell(kind, mode, _PRECISIONS[precision])


def groups(residuals: Sequence[Residual]) -> tuple[Group, ...]:
    """Return every group that has enough cases, narrow ones first; the last one holds all cases, however few.

    A group of several kinds needs cases of at least two, since it stands for kinds it has no case of.
    """
    if not residuals:
        return ()
    found = [_group(cell, [item for item in residuals if cell.holds(item.cell)]) for cell in _cells({item.cell for item in residuals})]
    return tuple(group for group, is_enough in found if is_enough)


def _cells(whole: Iterable[Cell]) -> list[Cell]:
    """Return the cells and what holds them, in the order in which a range is looked for."""
    known = sorted(whole, key=str)
    wider = [Cell(cell.kind, cell.mode, None) for cell in known] + [Cell(None, cell.mode, cell.precision) for cell in known]
    return list(dict.fromkeys([*known, *wider, *(Cell(None, cell.mode, None) for cell in known), Cell(None, None, None)]))


def _group(cell: Cell, residuals: Sequence[Residual]) -> tuple[Group, bool]:
    sizes = Counter(item.cell for item in residuals)
    weights = [min(1.0, LEAST_CASES / sizes[item.cell]) for item in residuals]
    found = distribution([item.ratio for item in residuals], weights)
    is_enough = effective_cases(weights) >= LEAST_CASES and (cell.kind is not None or len({item.cell.kind for item in residuals}) > 1)
    group = Group(
        cell=cell, cases=len(residuals), models=len({item.model for item in residuals}),
        sets=_counted(item.case_set for item in residuals), metrics=_counted(item.metric for item in residuals),
        spread=found.spread, quantiles=found.quantiles,
    )  # fmt: skip
    return group, is_enough or cell == Cell(None, None, None)


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _fields(cell: Cell) -> tuple[str | None, ...]:
    return cell.kind, cell.mode, cell.precision
