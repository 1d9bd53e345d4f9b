"""One program at many points: its workload, trace and forecast at any batch and size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from vramcast.answer import Estimate
from vramcast.backends.registry import backend_of, with_backend
from vramcast.closed_form import is_count
from vramcast.errors import WorkloadError
from vramcast.family.piece import Piece, Point
from vramcast.gpu.spec import GpuSpec
from vramcast.input_spec import InputSpec
from vramcast.pipeline import Progress
from vramcast.presets import at_batch
from vramcast.served import Served
from vramcast.sources import registry
from vramcast.sources.interface import Model
from vramcast.sources.python_object import model_of
from vramcast.trace import Trace
from vramcast.workload import Validation, Workload

if TYPE_CHECKING:
    from torch import nn

BATCH, IMAGE, SQUARE, SEQUENCE = ("batch",), ("batch", "height", "width"), ("batch", "side"), ("batch", "seq")
"""What a point says."""


class Family(Protocol):
    """What tells the traces of points from a few of them: a `TraceFamily`, or several that share their small traces."""

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """Those that are known so far."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Where it is split, and what it leaves to traces."""

    def piece_at(self, point: Point) -> Piece | None:
        """Return the piece a point lies in; None where it has to be traced itself."""

    def at(self, point: Point) -> Trace | None:
        """Return the trace of a point; None where it has to be traced itself."""


def find_model(model: str | nn.Module | Callable[[], nn.Module]) -> Model:
    """Return the model; one that is a mere number has nothing that grows with batch or size.

    Raises:
        WorkloadError: a number of parameters was given.
        UsageError: an unknown name, a missing extra, an unreadable file.
    """
    if isinstance(model, str) and is_count(model):
        raise WorkloadError(f"{model} is a number of parameters, whose forecast has no activations: nothing in it grows. Name a model.")
    return registry.find(model) if isinstance(model, str) else model_of(model)


def workload_at(workload: Workload, axes: tuple[str, ...], point: Point, accumulate: int | None = None) -> Workload:
    """Return the workload of a point; what its preset sets by the batch follows the batch, but for a given `accumulate`.

    Of inputs that state their shape, the first dimension is the batch, where it is that of the first input.

    Raises:
        WorkloadError: the workload's own fields exclude such a size.
    """
    changes = at_batch(workload.as_dict(), point[0])
    if "validation" in changes:
        changes["validation"] = msgspec.convert(changes["validation"], Validation)
    if workload.inputs:
        changes["inputs"] = tuple(_with_batch(spec, workload.inputs[0].shape[:1], point[0]) for spec in workload.inputs)
    if accumulate is not None:
        changes["accumulate"] = accumulate
    if axes in (IMAGE, SQUARE):
        changes |= {"image": (point[1], point[-1]), "image_range": None}
    if axes == SEQUENCE:
        changes["seq"] = point[1]
    return workload.with_fields(**changes)


def _with_batch(spec: InputSpec, first: tuple[int, ...], batch: int) -> InputSpec:
    return msgspec.structs.replace(spec, shape=(batch, *spec.shape[1:])) if spec.shape[:1] == first else spec


@dataclass(slots=True)
class Points:
    """Traces a program at most once at each point, and forecasts from the family where it holds the point."""

    model: Model
    workload: Workload
    card: GpuSpec | None
    axes: tuple[str, ...]
    progress: Progress = lambda _: None
    family: Family | None = None
    shortcut: Callable[[Point], Trace | None] = lambda _: None
    """Tells the trace of a point in less time than the program takes there, to the byte."""
    _traces: dict[tuple[Point, int], Trace] = field(default_factory=dict)
    _served: dict[Point, Served] = field(default_factory=dict)
    _estimates: dict[Point, Estimate] = field(default_factory=dict)
    _known: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.workload = with_backend(self.workload, self.model)

    def workload_at(self, point: Point) -> Workload:
        """Return the workload of a point. Raises as `workload_at`."""
        return workload_at(self.workload, self.axes, point)

    def trace(self, point: Point) -> Trace:
        """Return the trace of a point, made by running the program there.

        Raises:
            UntraceableError, ModelError, WorkloadError: as `pipeline.estimate`.
        """
        key = point, self.workload_at(point).accumulate
        told = None if key in self._traces else self.shortcut(point)
        if told is not None:
            self._traces[key] = told
        return self.trace_with(*key)

    def trace_with(self, point: Point, accumulate: int) -> Trace:
        """Return the trace of a point with an accumulation that need not be its own. Raises as `trace`."""
        key = point, accumulate
        if key not in self._traces:
            capability = self.card.compute_capability if self.card else None
            workload = workload_at(self.workload, self.axes, point, accumulate)
            self.progress(f"tracing {self.model.name} at {self.described(point)}")
            self._traces[key] = backend_of(workload).trace(self.model, workload, capability, lambda _: None)
        return self._traces[key]

    def bare(self, point: Point) -> Served:
        """Return the point without the scratch of kernels, where the family tells it that cheaply: a lower bound. Raises as `trace`."""
        piece = self.family.piece_at(point) if self.family is not None else None
        if piece is None or point in self._served:
            return self.served(point)
        self._known.add(point[-1])
        return Served(piece.without_calls(point), self.workload_at(point), self.card)

    def served(self, point: Point) -> Served:
        """Return what the card makes of a point, the same whether it comes from the family or from a trace of its own. Raises as `trace`."""
        if point not in self._served:
            told = self.family.at(point) if self.family is not None else None
            trace = self.trace(point) if told is None else told
            self._served[point] = Served.on(trace, self.card, self.workload_at(point))
            self._known.add(point[-1])
        return self._served[point]

    def estimate(self, point: Point) -> Estimate:
        """Return the forecast of a point. Raises as `trace`."""
        if point not in self._estimates:
            self._estimates[point] = self.served(point).answer()
        return self._estimates[point]

    def known(self) -> set[int]:
        """Return the batches, or sizes where those vary, that were looked at so far."""
        return self._known

    def described(self, point: Point) -> str:
        """Return the point in words: `batch 64, image 640x640`."""
        if self.axes in (IMAGE, SQUARE):
            return f"batch {point[0]}, image {point[1]}x{point[-1]}"
        return ", ".join(f"{name} {value}" for name, value in zip(self.axes, point))
