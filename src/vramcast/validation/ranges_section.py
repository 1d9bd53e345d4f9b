"""What ranges cover, as a section of the page."""

from __future__ import annotations

from collections.abc import Sequence

from vramcast.calibration.groups import Cell
from vramcast.calibration.table import LEAST_MODELS, WIDENED, Table, comparable, words
from vramcast.reports.markdown import table
from vramcast.validation.ranges import CellCoverage, Covered
from vramcast.validation.wording import percent

_HEAD = """## Ranges

`low_bytes` and `high_bytes` are made to hold {coverage} of comparable cases, by split conformal prediction on measured / forecast bytes of torch's
allocator (for device memory less the constant of its set). Comparable is the same kind of network, mode and precision. Where fewer than {least}
such cases are known, wider groups are taken, in which no cell counts for more than {least} cases. Then, and where the cases are of fewer than
{models} networks, measured memory is taken to be {widened:g} times as far from the forecast, on a logarithmic scale.

- *range* is what vramcast ships, fitted on all cases of this page: from forecast ÷ factor to forecast × factor.
- *held back*: fitted on one half of the models, judged on the other, and the other way round. *width* is the mean of high less low, as a share
  of the forecast.
- *as if unmeasured*: the cell's own cases are left out of the fit, and what is said of a kind that was not measured is judged on them.
"""
_COLUMNS = ("cases like", "cases", "range", "held back", "width", "as if unmeasured", "width")


def section(fitted: Table, covered: Sequence[CellCoverage], left_out: dict[str, int], least: int) -> str:
    """Return the section: the table of cells, and what is left out of it and why."""
    head = _HEAD.format(coverage=percent(fitted.coverage, 0), least=least, models=LEAST_MODELS, widened=WIDENED)
    text = f"{head}\n{table(_COLUMNS, [_row(fitted, item) for item in covered])}"
    reasons = [f"- {count}: {reason}" for reason, count in left_out.items()]
    return "\n".join([text, "Left out of the calibration (no case is for its error):", "", *reasons, ""]) if reasons else text


def _row(fitted: Table, item: CellCoverage) -> tuple[str, ...]:
    factor = comparable(item.cell, fitted.groups).distribution.spread
    shipped = "" if item.cell == Cell(None, None, None) else f"÷ × {factor:.3f}"
    return (words(item.cell), str(item.held_back.cases), shipped, *_cells(item.held_back), *_cells(item.as_if_unmeasured))


def _cells(covered: Covered | None) -> tuple[str, str]:
    return ("", "") if covered is None or not covered.cases else (percent(covered.share), percent(covered.width))
