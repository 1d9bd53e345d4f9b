"""The grid of a sweep: combinations of settings, and the points of batch and size at which each is asked about."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from vramcast.family.piece import Point
from vramcast.gpu.spec import GpuSpec
from vramcast.solvers.points import BATCH, IMAGE, SEQUENCE
from vramcast.solvers.sweep.axes import Values, check_grid
from vramcast.version import __version__
from vramcast.workload import Workload

SIZES = ("batch", "image", "seq")
"""Axes along which a few traces tell all points; every other one needs traces of its own."""


@dataclass(frozen=True, slots=True)
class Combination:
    """One setting of everything but batch and size, on one card."""

    settings: Mapping[str, Any]
    """The values of the axes that are not batch or size; `gpu` among them where there are several cards."""
    workload: Workload
    card: GpuSpec | None


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything a sweep asks about, in order."""

    model: str
    combinations: tuple[Combination, ...]
    batches: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]
    """Heights and widths, or lengths, or nothing once where the model's own size is meant."""
    axes: tuple[str, ...]
    """Of a point: `batch`, then `height` and `width`, or `seq`."""
    shown: tuple[str, ...]
    """Names of all axes in the order in which they were given."""
    is_quick: bool = False
    """Live bytes alone are asked for, without a replay."""

    def __len__(self) -> int:
        return len(self.combinations) * len(self.batches) * len(self.sizes)

    def points(self) -> tuple[Point, ...]:
        """Return the points of each combination."""
        return tuple((batch, *size) for size, batch in itertools.product(self.sizes, self.batches))

    def places(self) -> Iterator[tuple[int, int, Point]]:
        """List every point with its own index and that of its combination."""
        points = self.points()
        for index, (combination, point) in enumerate(itertools.product(range(len(self.combinations)), points)):
            yield index, combination, point

    def named(self, combination: Combination, point: Point) -> dict[str, Any]:
        """Return the value of each axis at a point, in the order in which the axes were given."""
        side = point[1:]
        values: dict[str, Any] = {**combination.settings, "batch": point[0]}
        if self.axes == IMAGE:
            values["image"] = side[0] if side[0] == side[1] else f"{side[0]}x{side[1]}"
        if self.axes == SEQUENCE:
            values["seq"] = side[0]
        return {name: values[name] for name in self.shown}

    def digest(self) -> str:
        """Return what tells this sweep from any other: an interrupted one is resumed by the same alone."""
        asked = [__version__, self.model, self.batches, self.sizes, self.axes, self.shown, self.is_quick]
        settings = [(dict(made.settings), made.workload.as_dict(), made.card) for made in self.combinations]
        return hashlib.sha256(msgspec.json.encode([asked, settings])).hexdigest()


def grid(model: str, combinations: Sequence[Combination], along: Mapping[str, Values], shown: Sequence[str]) -> Grid:
    """Lay out a grid: `along` holds the values of batch, image and seq that are swept.

    Raises:
        WorkloadError: more points than a sweep takes.
    """
    workload = combinations[0].workload
    axes = IMAGE if "image" in along else SEQUENCE if "seq" in along else BATCH
    batch = workload.inputs[0].shape[0] if workload.inputs and workload.inputs[0].shape else workload.batch
    sizes: tuple[tuple[int, ...], ...] = ((),)
    if axes == IMAGE:
        sizes = tuple((side, side) if isinstance(side, int) else tuple(side) for side in along["image"])
    if axes == SEQUENCE:
        sizes = tuple((length,) for length in along["seq"])
    batches = tuple(along.get("batch", (batch,)))
    check_grid((len(combinations), len(batches), len(sizes)))
    names = tuple(dict.fromkeys(("batch", *shown) if "batch" not in shown else shown))
    return Grid(model, tuple(combinations), batches, sizes, axes, names)
