"""The run drawn over its events: what is held by component, what is reserved above it, the peak, the phases, and the card's limit.

The stack adds up to what nvidia-smi would show for the process, and so do its colours and those of every other report (`palette.py`).
Every allocation and free is one step to the right: a trace knows the order of events, not how long they take.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vramcast.breakdown import CONTEXT
from vramcast.footprint import Estimate
from vramcast.reports.drawing import check_drawing, save_figure
from vramcast.reports.held_over_time import Span, held, shown_events, spans
from vramcast.reports.interface import Forecast
from vramcast.reports.palette import SWATCHES
from vramcast.units import GIB, format_gib

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PURPOSE = "Drawing a timeline"
_FARTHEST_LIMIT = 2.5
"""A card that has so many times the peak would leave nothing to see: its limit is told in words instead."""
_NARROWEST_SHADE = 0.002
"""Share of the width below which a phase is no wider than a line."""
_NARROWEST_NAME = 0.012
"""Share below which no upright name fits; below the next, no level one."""
_NARROWEST_LEVEL_NAME = 0.08
_ROOM_OF_A_STEP = 0.06
"""Share of the width that the number of a step takes."""
_SHADES = ("#FFFFFF", "#E8E8E8")
_LONGEST_MODULE = 48
_ROOM = 1.28
"""How much higher than what is drawn the drawing is: there, above the limit, the peak is told."""
_HEIGHT_OF_WORDS = 0.93


def save_timeline(forecast: Forecast, path: Path) -> None:
    """Draw a forecast's timeline into a PNG, SVG or PDF file, as the path's ending says.

    Raises:
        UsageError: the ending is none of those.
        MissingExtraError: matplotlib is not installed.
        OutputError: the path cannot be written.
    """
    check_drawing(path, PURPOSE)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    canvas = figure.add_subplot()
    passed = spans(forecast.trace, forecast.timeline)
    _shade(canvas, passed)
    _stack(canvas, forecast)
    _limit(canvas, forecast.estimate)
    _mark_peak(canvas, forecast)
    figure.suptitle(_title(forecast.estimate), fontsize="medium")
    canvas.legend(loc="upper left", bbox_to_anchor=(1, 1), reverse=True, fontsize="small", frameon=False)
    save_figure(figure, path)


def _shade(canvas: Axes, passed: tuple[Span, ...]) -> None:
    """Shade every other phase and name it above the drawing, where it is wide enough; number the steps where there is room."""
    width = max(passed[-1].end, 1) if passed else 1
    inside, numbered_to = canvas.get_xaxis_transform(), 0.0
    for index, span in enumerate(passed):
        share = (span.end - span.start) / width
        if share >= _NARROWEST_SHADE:
            canvas.axvspan(span.start, span.end, color=_SHADES[index % 2], zorder=0)
            canvas.axvline(span.start, color="black", linewidth=0.5, alpha=0.25, zorder=4)
        begins = span.step >= 0 and (not index or span.step != passed[index - 1].step)
        if begins and span.start >= numbered_to:
            numbered_to = span.start + _ROOM_OF_A_STEP * width
            canvas.axvline(span.start, color="black", linewidth=1, linestyle=":", zorder=4)
            canvas.text(span.start + width / 400, 0.985, f"step {span.step + 1}", fontsize="small", va="top", transform=inside, zorder=7)
        if share >= _NARROWEST_NAME:
            rotation = 0 if share >= _NARROWEST_LEVEL_NAME else 90
            canvas.text((span.start + span.end) / 2, 1.01, span.name, rotation=rotation, fontsize="small", ha="center", va="bottom", transform=inside)
    canvas.set_xlim(0, width)


def _stack(canvas: Axes, forecast: Forecast) -> None:
    """Draw each component from zero up to its own top, the highest first: what lies beneath covers the rest."""
    events = shown_events(forecast.timeline)
    if not len(events):
        return
    edges = np.append(events, len(forecast.timeline.reserved))
    columns = {name: column[events] for name, column in held(forecast.trace, forecast.timeline).items()}
    columns[CONTEXT] = np.full(len(events), forecast.estimate.components[CONTEXT], np.int64)
    tops = np.cumsum(np.stack(list(columns.values())), axis=0)
    for depth, (name, top) in enumerate(reversed(list(zip(columns, tops)))):
        heights, corners = _without_repeats(top, edges)
        swatch = SWATCHES[name]
        canvas.stairs(heights / GIB, corners, fill=True, color=swatch.colour, linewidth=0, label=None, zorder=2 + depth / 100)
    for name in columns:
        canvas.fill([], [], color=SWATCHES[name].colour, label=SWATCHES[name].label)
    heights, corners = _without_repeats(tops[-2], edges)
    canvas.stairs(heights / GIB, corners, color="black", linewidth=0.8, label="reserved", zorder=3)
    canvas.set(xlabel="allocations and frees, in order", ylabel="GPU memory of the process (GiB)", ylim=(0, _ROOM * int(tops[-1].max()) / GIB))


def _without_repeats(heights: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Join neighbours of equal height: a stair has a corner only where it goes up or down."""
    changed = np.append(True, np.diff(heights) != 0)
    return heights[changed], np.append(edges[:-1][changed], edges[-1])


def _limit(canvas: Axes, estimate: Estimate) -> None:
    if estimate.gpu is None:
        return
    usable, needed = estimate.gpu.usable_bytes, estimate.peak.device_bytes
    label = f"usable on {estimate.gpu.name}: {format_gib(usable)}"
    if usable > _FARTHEST_LIMIT * needed:
        canvas.plot([], [], linestyle="none", label=f"{label}\n(above the drawing)")
        return
    canvas.axhline(usable / GIB, color="black", linestyle="--", linewidth=1.5, label=label, zorder=5)
    canvas.set_ylim(0, _ROOM * max(needed, usable) / GIB)


def _mark_peak(canvas: Axes, forecast: Forecast) -> None:
    """Point at the peak instant: its bytes, and which operator of which module takes them there."""
    peak = forecast.estimate.peak
    event, width = forecast.timeline.peak_event(), max(len(forecast.timeline.reserved), 1)
    top = peak.device_bytes / GIB
    module = peak.module if len(peak.module) <= _LONGEST_MODULE else f"…{peak.module[-_LONGEST_MODULE:]}"
    where = f"{module or 'the model itself'}, {peak.operator}"
    told = f"peak {format_gib(peak.device_bytes)}, reserved {format_gib(peak.reserved_bytes)}, allocated {format_gib(peak.allocated_bytes)}\n{where}"
    side = ("left", "center", "right")[min(3 * event // width, 2)]
    canvas.annotate(
        told, (event + 0.5, top), xytext=(event + 0.5, _HEIGHT_OF_WORDS), textcoords=canvas.get_xaxis_transform(), ha=side, va="top",
        fontsize="small", zorder=7, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        arrowprops={"arrowstyle": "-|>", "color": "black"},
    )  # fmt: skip
    canvas.plot([event + 0.5], [top], marker="o", color="black", markersize=4, zorder=6)


def _title(estimate: Estimate) -> str:
    card = f" on {estimate.gpu.name}" if estimate.gpu else ""
    return f"{estimate.model.name}, {estimate.workload['mode']}, batch {estimate.workload['batch']}, {estimate.workload['precision']}{card}"
