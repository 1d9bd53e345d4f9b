"""Drawings of a study: parameters against memory, with the line through the logarithms and the names of the outliers.

Colours and markers of the groups: the Okabe-Ito palette (`reports/palette.py` says where it comes from).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vramcast.reports.drawing import save_figure
from vramcast.study.models.findings import GroupFindings, PartFindings, Study
from vramcast.study.models.groups import group_of
from vramcast.study.models.measures import INFERENCE, MEASURES, TRAINING, WEIGHTS
from vramcast.study.models.row import Row
from vramcast.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLES = (("#0072B2", "o"), ("#D55E00", "^"), ("#009E73", "s"), ("#CC79A7", "D"), ("#E69F00", "v"), ("#56B4E9", "P"), ("#747474", "X"))
_NAMED = 5
"""Outliers named on each side of the first group."""
_PANELS = (WEIGHTS, INFERENCE, TRAINING)


def draw(study: Study, path: Path) -> None:
    """Draw weights, inference and training against parameters, side by side. Raises as `reports.drawing.save_figure`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 5.5), layout="constrained")
    for axes, measure in zip(figure.subplots(1, len(_PANELS)), _PANELS):
        _scatter(axes, study, measure)
    save_figure(figure, path)


def draw_measure(study: Study, measure: str, path: Path) -> None:
    """Draw one figure against parameters. Raises as `draw`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    _scatter(figure.add_subplot(), study, measure)
    save_figure(figure, path)


def draw_families(families: Sequence[PartFindings], path: Path) -> None:
    """Draw how far the families of a group lie from its line in training. Raises as `draw`."""
    from matplotlib.figure import Figure

    ordered = sorted(families, key=lambda part: part.factor)
    figure = Figure(figsize=(9, 0.7 + 0.32 * len(ordered)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(ordered))
    axes.barh(places, [math.log2(part.factor) for part in ordered], color=["#D55E00" if part.factor > 1 else "#0072B2" for part in ordered])
    axes.set(yticks=places, yticklabels=[f"{part.name} ({part.models})" for part in ordered], xlabel="training memory over the line of all models")
    axes.xaxis.set_major_formatter(lambda value, _: f"x{2**value:.2g}")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)


def _scatter(axes: Axes, study: Study, measure: str) -> None:
    whole = [row for row in study.rows if row.is_whole and row.parameters]
    names = list(dict.fromkeys([group.name for group in study.groups] + [group_of(row) for row in whole]))
    for name, (colour, marker) in zip(names, _STYLES):
        points = [row for row in whole if group_of(row) == name]
        sizes = [MEASURES[measure](row) / GIB for row in points]
        axes.scatter([row.parameters for row in points], sizes, s=16, alpha=0.6, color=colour, marker=marker, linewidths=0, label=name)
    found = {group.name: group for group in study.groups}
    for name, (colour, _) in zip(names, _STYLES):
        if name in found and measure in found[name].fits:
            _line(axes, found[name], measure, [row.parameters for row in whole if group_of(row) == name], colour)
    if study.groups:
        _name_outliers(axes, study.groups[0], measure, {row.model: row for row in whole})
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="GiB", title=measure)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="upper left")


def _line(axes: Axes, group: GroupFindings, measure: str, parameters: Sequence[int], colour: str) -> None:
    fit = group.fits[measure]
    ends = np.array([min(parameters), max(parameters)], float)
    axes.plot(ends, np.exp(fit.log_intercept) * ends**fit.elasticity / GIB, color=colour, linewidth=1.2)


def _name_outliers(axes: Axes, group: GroupFindings, measure: str, rows: dict[str, Row]) -> None:
    """Name the models furthest off, those on the left and on the right of a panel towards its middle."""
    named = [*group.above.get(measure, ())[:_NAMED], *group.below.get(measure, ())[:_NAMED]]
    middle = math.sqrt(min(row.parameters for row in rows.values()) * max(row.parameters for row in rows.values()))
    for one in named:
        row = rows[one.model]
        place = (row.parameters, MEASURES[measure](row) / GIB)
        side = "left" if row.parameters < middle else "right"
        shift = (5, 3) if side == "left" else (-5, 3)
        axes.annotate(one.model.partition(":")[2], place, xytext=shift, textcoords="offset points", ha=side, fontsize=7)
