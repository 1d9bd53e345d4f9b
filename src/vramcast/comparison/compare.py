"""A forecast held beside a measurement: each figure, each component, and which part of vramcast the error comes from.

The error of the process's bytes is divided in four, which add up to it:

    allocator    the measured trace, replayed, less the reserved bytes recorded with it: 0, or the replay is wrong
    tracer       the forecast's tensors with the measured scratch, replayed, less the measured trace, replayed
    workspace    the forecast, replayed, less the forecast's tensors with the measured scratch, replayed
    context      the forecast's context less what the process held beside the reserved bytes when they were highest
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vramcast import breakdown
from vramcast.allocator.replay import replay
from vramcast.comparison.alignment import Alignment, align
from vramcast.comparison.events import EventDifferences, compare_events
from vramcast.comparison.scratch import measured_scratch, with_measured_scratch
from vramcast.comparison.side import Side
from vramcast.timeline import Timeline
from vramcast.trace import Column, Component, Trace
from vramcast.version import __version__


@dataclass(frozen=True, slots=True)
class Row:
    """One figure on both sides; None where a side does not have it."""

    name: str
    forecast: int | None
    measured: int | None

    @property
    def difference(self) -> int | None:
        """Forecast less measured."""
        return None if self.forecast is None or self.measured is None else self.forecast - self.measured


@dataclass(frozen=True, slots=True)
class ErrorShares:
    """The error of the process's bytes, divided; see the module's docstring."""

    allocator: int
    tracer: int
    workspace: int
    context: int | None
    replayed_bytes: int
    """Reserved bytes of the measured trace, replayed."""
    recorded_bytes: int

    @property
    def total(self) -> int:
        """The parts together: without the context where that is not known."""
        return self.allocator + self.tracer + self.workspace + (self.context or 0)

    @property
    def is_exact(self) -> bool:
        """Whether the replay of the measured trace gives what was recorded, to the byte."""
        return self.allocator == 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that can be said."""

    rungs: tuple[Row, ...]
    """Allocated, reserved, context and process bytes, as far as both sides tell them."""
    phases: tuple[Row, ...]
    """Reserved peak of each phase of the run."""
    components: tuple[Row, ...] = ()
    """What is held at each side's own peak; empty without events on both sides."""
    shares: ErrorShares | None = None
    events: EventDifferences | None = None
    notes: tuple[str, ...] = ()
    broken_law: str = ""
    """What must hold of the measured run without any tolerance and does not; empty where all holds."""
    schema: str = "vramcast/diff-1"
    vramcast: str = __version__
    """Version that made it."""


def compare(forecast: Side, measured: Side) -> Comparison:
    """Compare two sides as far as both go."""
    rungs = (
        Row("allocated", forecast.allocated_bytes, measured.allocated_bytes),
        Row("reserved", forecast.reserved_bytes, measured.reserved_bytes),
        Row("context", forecast.context_bytes, measured.context_bytes),
        Row("process", forecast.process_bytes, measured.process_bytes),
    )
    names = dict.fromkeys((*forecast.phases, *measured.phases))
    phases = tuple(Row(name, forecast.phases.get(name, (0, None))[1], measured.phases.get(name, (0, None))[1]) for name in names)
    notes = (*forecast.notes, *measured.notes)
    if forecast.trace is None or measured.trace is None:
        return Comparison(rungs=tuple(row for row in rungs if row.difference is not None), phases=phases, notes=notes)
    aligned = align(forecast.trace, measured.trace)
    scratch = measured_scratch(forecast.trace, measured.trace, aligned)
    ours = replay(forecast.trace, forecast.allocator, forecast.limit)
    theirs = replay(measured.trace, measured.allocator, measured.limit)
    return Comparison(
        rungs=tuple(row for row in rungs if row.difference is not None),
        phases=phases,
        components=_components(forecast, measured, aligned, scratch, (ours, theirs)),
        shares=_shares(forecast, measured, aligned, scratch, (ours, theirs)),
        events=compare_events(forecast.trace, measured.trace, aligned, scratch),
        notes=notes,
        broken_law=_broken_law(measured, theirs),
    )


def _broken_law(measured: Side, replayed: Timeline) -> str:
    """Hold the replay of the measured trace against what was recorded; not where segments had to be given back, which depends on the driver."""
    if measured.limit is not None or replayed.peak_reserved == measured.reserved_bytes:
        return ""
    return (
        f"the measured trace, replayed, reserves {replayed.peak_reserved:,} bytes, but {measured.reserved_bytes:,} were recorded: either the "
        "simulation of the allocator is wrong, or the options of the run are not those of the replay (--allocator)"
    )


def _shares(forecast: Side, measured: Side, aligned: Alignment, scratch: Column, timelines: tuple[Timeline, Timeline]) -> ErrorShares:
    assert forecast.trace is not None
    assert measured.trace is not None
    ours, theirs = (timeline.peak_reserved for timeline in timelines)
    mixed = replay(with_measured_scratch(forecast.trace, measured.trace, aligned, scratch), forecast.allocator, forecast.limit).peak_reserved
    context = None if forecast.context_bytes is None or measured.context_bytes is None else forecast.context_bytes - measured.context_bytes
    return ErrorShares(
        allocator=theirs - measured.reserved_bytes, tracer=mixed - theirs, workspace=ours - mixed, context=context,
        replayed_bytes=theirs, recorded_bytes=measured.reserved_bytes,
    )  # fmt: skip


def _components(forecast: Side, measured: Side, aligned: Alignment, scratch: Column, timelines: tuple[Timeline, Timeline]) -> tuple[Row, ...]:
    """Return what each component holds at the peak; a measured block is for what its partner is for, and `other` where it has none."""
    assert forecast.trace is not None
    assert measured.trace is not None
    components = np.full(len(measured.trace.sizes), Component.OTHER, np.int64)
    components[aligned.measured] = forecast.trace.components[aligned.forecast]
    components[scratch] = Component.WORKSPACE
    held = [
        _held(trace, timeline, context)
        for trace, timeline, context in (
            (forecast.trace, timelines[0], forecast.context_bytes),
            (replace(measured.trace, components=components), timelines[1], measured.context_bytes),
        )
    ]
    return tuple(Row(name, held[0].get(name), held[1].get(name)) for name in held[0] if held[0][name] or held[1].get(name))


def _held(trace: Trace, timeline: Timeline, context: int | None) -> dict[str, int | None]:
    if not len(timeline.reserved):
        return {}
    held: dict[str, int | None] = dict(breakdown.components(trace, timeline, timeline.peak_event(), context or 0))
    held[breakdown.CONTEXT] = context
    return held
