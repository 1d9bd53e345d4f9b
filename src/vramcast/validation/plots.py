"""Plots of a validation, as SVG files: errors of every set, and predicted against measured.

Sets that are not open are drawn as aggregates only: no point of a plot stands for one of their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vramcast.atomic_file import write_atomically
from vramcast.errors import MissingExtraError
from vramcast.units import GIB
from vramcast.validation.accuracy import Judged, quantile
from vramcast.validation.case import CaseSet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLE: Any = {"svg.hashsalt": "vramcast", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
"""A fixed salt, so that the same figures give the same file."""
_COLOURS = {"allocated": "#2a6f97", "reserved": "#c8553d", "device": "#588157", "weights": "#6d597a", "activation": "#b08968"}
_FARTHEST = 0.6
"""Errors beyond this are counted at the edge."""
_BINS = 48
_BANDS = 6
_SMALLEST = 0.001
"""Errors below this are drawn at the foot of the logarithmic axis."""
_SHARES = ((0.5, "median"), (0.9, "90th percentile"))


def write_errors(path: Path, case_set: CaseSet, judged: Sequence[Judged]) -> None:
    """Draw the distribution of a set's signed errors.

    Raises:
        MissingExtraError: matplotlib is not installed.
        OutputError: the path cannot be written.
    """
    figure, axes = _figure()
    edges = [-_FARTHEST + 2 * _FARTHEST * index / _BINS for index in range(_BINS + 1)]
    for metric, part in _by_metric(judged).items():
        clipped = [max(-_FARTHEST, min(_FARTHEST, item.error)) for item in part]
        axes.hist(clipped, bins=edges, color=_COLOURS[metric], alpha=0.75, label=f"{metric}, {len(part)} cases")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel=f"error of the forecast (beyond ±{_FARTHEST:.0%} at the edge)", ylabel="cases", title=f"{case_set.name}: errors")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")
    axes.legend(frameon=False)
    _save(figure, path)


def write_predicted(path: Path, case_set: CaseSet, judged: Sequence[Judged]) -> None:
    """Draw predicted against measured: a point a case for an open set, else the error by measured size. Raises as `write_errors`."""
    figure, axes = _figure()
    if case_set.is_open:
        _scatter(axes, judged)
    else:
        _by_size(axes, judged)
    axes.set_title(f"{case_set.name}: {'predicted against measured' if case_set.is_open else 'error by measured memory'}")
    axes.legend(frameon=False)
    _save(figure, path)


def _scatter(axes: Axes, judged: Sequence[Judged]) -> None:
    for metric, part in _by_metric(judged).items():
        measured, forecast = [item.outcome.case.measured_bytes / GIB for item in part], [item.forecast_bytes / GIB for item in part]
        axes.scatter(measured, forecast, s=14, alpha=0.75, color=_COLOURS[metric], label=metric)
    sizes = [size / GIB for item in judged for size in (item.outcome.case.measured_bytes, item.forecast_bytes)]
    ends = (min(sizes) * 0.8, max(sizes) * 1.25)
    axes.plot(ends, ends, color="black", linewidth=0.8, label="exact")
    axes.fill_between(ends, [0.9 * end for end in ends], [1.1 * end for end in ends], color="grey", alpha=0.2, linewidth=0, label="within 10 %")
    axes.set(xscale="log", yscale="log", xlabel="measured (GiB)", ylabel="predicted (GiB)", xlim=ends, ylim=ends)


def _by_size(axes: Axes, judged: Sequence[Judged]) -> None:
    """Bands hold equally many cases; each is drawn at its number, so that no measured figure can be read off."""
    from matplotlib.ticker import LogLocator

    ordered = sorted(judged, key=lambda item: item.outcome.case.measured_bytes)
    count = max(1, min(_BANDS, len(ordered) // 3))
    bands = [ordered[len(ordered) * index // count : len(ordered) * (index + 1) // count] for index in range(count)]
    for share, name in _SHARES:
        heights = [max(_SMALLEST, quantile(sorted(abs(item.error) for item in band), share)) for band in bands]
        axes.plot(range(1, count + 1), heights, marker="o", label=name)
    axes.set(
        xlabel=f"cases by measured memory, in {count} bands from small to large", ylabel="absolute error", xticks=range(1, count + 1), yscale="log"
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value * 100:g} %")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def _by_metric(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    parts: dict[str, list[Judged]] = {}
    for item in judged:
        parts.setdefault(item.outcome.case.metric, []).append(item)
    return parts


def _figure() -> tuple[Figure, Axes]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "drawing the page's plots") from None
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        return figure, figure.subplots()


def _save(figure: Figure, path: Path) -> None:
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        write_atomically(path, lambda file: figure.savefig(file, format="svg", metadata={"Date": None}))
