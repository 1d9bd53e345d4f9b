"""What a run holds event by event, by component, thinned out to what a drawing can show. Pure functions over columns."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vramcast.breakdown import UNALLOCATED
from vramcast.reports.palette import SWATCHES
from vramcast.timeline import Timeline
from vramcast.trace import Column, Component, Event, Trace

STRETCHES = 500
"""Into so many stretches a long run is divided; of each, its lowest and its highest instants are kept."""


@dataclass(frozen=True, slots=True)
class Span:
    """One phase of one step, as events from `start` up to but not including `end`."""

    name: str
    step: int
    start: int
    end: int


def held(trace: Trace, timeline: Timeline) -> Mapping[str, Column]:
    """Return component -> bytes after each event, those never held left out; they add up to the bytes reserved.

    In the order of the palette, which is that of stacks from the bottom.
    """
    columns = {component.label: _held_by(trace, timeline, component) for component in Component}
    columns[UNALLOCATED] = timeline.reserved - timeline.allocated
    return {name: columns[name] for name in SWATCHES if name in columns and columns[name].any()}


def _held_by(trace: Trace, timeline: Timeline, component: Component) -> Column:
    end = len(timeline.reserved)
    changes = np.zeros(end, np.int64)
    for kind, sign in ((Event.ALLOCATE, 1), (Event.FREE, -1)):
        events = np.flatnonzero(trace.kinds[:end] == kind)
        blocks = trace.blocks[events]
        own = trace.components[blocks] == component
        changes[events[own]] = sign * timeline.block_sizes[blocks[own]]
    return np.cumsum(changes)


def shown_events(timeline: Timeline) -> Column:
    """Return the events to draw, in order: all of a short run; of a long one the extremes of each stretch, the peak among them.

    A line drawn through them touches every highest and lowest value that the eye could see, allocated and reserved.
    """
    count = len(timeline.reserved)
    if count <= 2 * STRETCHES:
        return np.arange(count)
    borders = np.linspace(0, count, STRETCHES + 1).astype(np.int64)
    kept = {0, count - 1, timeline.peak_event()}
    for start, end in itertools.pairwise(borders.tolist()):
        stretch = slice(start, end)
        for index in (timeline.allocated[stretch].argmin(), timeline.allocated[stretch].argmax(), timeline.reserved[stretch].argmax()):
            kept.add(int(start + index))
    return np.array(sorted(kept), np.int64)


def spans(trace: Trace, timeline: Timeline) -> tuple[Span, ...]:
    """Return the phases that were run, in order, as spans of events."""
    phases = trace.event_phases()[: len(timeline.reserved)]
    borders = [0, *(np.flatnonzero(np.diff(phases)) + 1).tolist(), len(phases)]
    found = ((trace.phases[int(phases[start])], start, end) for start, end in itertools.pairwise(borders) if start < end)
    return tuple(Span(name=phase.name, step=phase.step, start=start, end=end) for phase, start, end in found)
