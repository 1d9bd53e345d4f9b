"""Drawings of a sweep: a heat map over batch and size with each card's border, or components stacked along one axis.

Colours are those of every report (`reports/palette.py`), and matplotlib's `cividis`, made to look alike with and without colour
vision deficiency (Nunez, Anderton and Renslow, PLOS ONE 13(7), 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vramcast.errors import UsageError
from vramcast.gpu.spec import GpuSpec
from vramcast.reports.drawing import save_figure
from vramcast.reports.palette import SWATCHES
from vramcast.solvers.sweep.record import Record
from vramcast.units import GIB

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PURPOSE = "Drawing a sweep"
_BORDERS = (("#D55E00", "-"), ("#FFFFFF", "--"), ("#E69F00", ":"), ("#56B4E9", "-."))
"""Of the cards: colours of the Okabe-Ito palette, told apart by their dashes too."""
_LABELS = {"batch": "batch", "image": "image side (pixels)", "seq": "sequence (tokens)"}
_SIZES = ("image", "seq")


def draw(records: Sequence[Record], path: Path, cards: Sequence[GpuSpec]) -> None:
    """Draw what was swept into a file.

    Raises:
        UsageError: no axis was swept along which anything could be drawn, or too many were.
        OutputError: the path cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    _painter(records)(figure.add_subplot(), records, cards)
    save_figure(figure, path)


def _painter(records: Sequence[Record]) -> Callable[[Axes, Sequence[Record], Sequence[GpuSpec]], None]:
    varied = _varied(records)
    others = [name for name in varied if name not in ("batch", *_SIZES, "gpu")]
    if "batch" in varied and any(size in varied for size in _SIZES) and not others:
        if any(isinstance(record.axes.get("image"), str) for record in records):
            raise UsageError("a heat map has one side of square images along its axis; leave out sizes such as 480x640.")
        return _heat_map
    along = [name for name in varied if name != "gpu"]
    if len(along) == 1 and "gpu" not in varied:
        return _stack
    if varied == ["gpu"]:
        return _stack
    raise UsageError(
        f"a drawing shows batch and size, or one axis; this sweep varies {', '.join(varied) or 'nothing'}. Leave the others out, or --plot."
    )


def _varied(records: Sequence[Record]) -> list[str]:
    """Return the axes that take several values."""
    return [name for name in records[0].axes if len({record.axes[name] for record in records}) > 1]


def _heat_map(canvas: Axes, records: Sequence[Record], cards: Sequence[GpuSpec]) -> None:
    size = next(name for name in _SIZES if name in _varied(records))
    batches, sides = (sorted({record.axes[name] for record in records}) for name in ("batch", size))
    by_card: dict[str | None, list[Record]] = {}
    for record in records:
        by_card.setdefault(record.axes.get("gpu"), []).append(record)
    first = next(iter(by_card.values()))
    needed = _laid_out(first, batches, sides, size, lambda record: None if record.device_bytes is None else record.device_bytes / GIB)
    mesh = canvas.pcolormesh(batches, sides, needed, cmap="cividis", shading="nearest")
    canvas.figure.colorbar(mesh, ax=canvas, label=f"process (GiB){f' on {cards[0].name}' if len(cards) > 1 else ''}")
    for (name, found), (colour, dashes) in zip(by_card.items(), _BORDERS * -(-len(by_card) // len(_BORDERS))):
        fits = _laid_out(found, batches, sides, size, lambda record: None if record.fits is None else float(record.fits))
        has_border = min(fits.shape) > 1 and np.nanmin(fits, initial=1) < np.nanmax(fits, initial=0)
        if has_border:
            canvas.contour(batches, sides, fits, levels=[0.5], colors=[colour], linestyles=[dashes], linewidths=2)
        label = name or (cards[0].name if cards else None)
        if label is not None:
            canvas.plot([], [], color=colour, linestyle=dashes if has_border else "none", linewidth=2, label=_border_label(label, fits))
    canvas.set(xlabel=_LABELS["batch"], ylabel=_LABELS[size], xticks=_some(batches), yticks=_some(sides))
    if cards:
        canvas.figure.legend(loc="outside upper left", facecolor="#808080", fontsize="small")  # off the map: the corner it would hide is the full one


def _border_label(card: str, fits: Any) -> str:
    """Say what a card's line parts; `fits`: sides x batches of 0, 1 and not a number."""
    known = fits[~np.isnan(fits)]
    if not len(known):
        return f"{card}: no forecast"
    if known.min() == known.max():
        return f"{card}: every point fits" if known[0] else f"{card}: no point fits"
    return f"fits on {card}: below and left of this line"


def _some(values: list[Any]) -> list[Any]:
    """Return at most a dozen of the values that were swept, to stand beside an axis."""
    return values[:: -(-len(values) // 12)]


def _laid_out(records: Sequence[Record], batches: list[Any], sides: list[Any], size: str, value: Callable[[Record], float | None]) -> Any:
    """Return sides x batches; not a number where there is no forecast."""
    table = np.full((len(sides), len(batches)), np.nan)
    for record in records:
        found = value(record)
        if found is not None:
            table[sides.index(record.axes[size]), batches.index(record.axes["batch"])] = found
    return table


def _stack(canvas: Axes, records: Sequence[Record], cards: Sequence[GpuSpec]) -> None:
    (name,) = _varied(records)
    shown = [record for record in records if record.error is None]
    places = np.arange(len(shown))
    below = np.zeros(len(shown))
    for component, swatch in SWATCHES.items():
        heights = np.array([record.components.get(component, 0) / GIB for record in shown])
        if heights.any():
            canvas.bar(places, heights, bottom=below, width=1.0 if len(shown) > 20 else 0.8, color=swatch.colour, label=swatch.label)
            below += heights
    if name != "gpu":
        for card in cards:
            canvas.axhline(card.usable_bytes / GIB, color="black", linestyle="--", label=f"usable on {card.name}")
    ticks = places[:: max(1, len(places) // 12)]
    canvas.set_xticks(ticks, [str(shown[tick].axes[name]) for tick in ticks], rotation=30 if name not in _LABELS else 0)
    canvas.set(xlabel=_LABELS.get(name, name.replace("_", " ")), ylabel="process at the peak (GiB)")
    canvas.legend(loc="center left", bbox_to_anchor=(1, 0.5), reverse=True, fontsize="small")
