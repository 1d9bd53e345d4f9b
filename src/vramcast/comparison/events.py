"""Where the events of a forecast and those of a measured run part: the first request, what has no partner, what lives longer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from vramcast.breakdown import step_phase_module_operator
from vramcast.comparison.alignment import Alignment
from vramcast.trace import Column, Component, Trace

_SHOWN = 20
"""Lifetimes listed; all are counted."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of one side."""

    event: int
    size: int
    step: int
    phase: str
    module: str
    operator: str


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where the sequences part first: a request that one side has and the other has not."""

    matched: int
    """Requests in order that both sides share before."""
    forecast: Request | None
    """What comes next in the forecast; None: its end."""
    measured: Request | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Requests of one operator that have no partner."""

    operator: str
    phase: str
    count: int
    size: int
    """Bytes requested, all together."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """A pair whose blocks are freed at different places."""

    request: Request
    """As forecast."""
    freed_after: int | None
    """Shared requests between the forecast's birth and death; None: never freed."""
    measured_freed_after: int | None


@dataclass(frozen=True, slots=True)
class EventDifferences:
    """All that differs between two traces."""

    pairs: int
    paired_bytes: int
    by_phase: bool
    first: Divergence | None
    first_tensor: Divergence | None
    """The first that is no scratch of a kernel, as far as that is told."""
    only_forecast: tuple[Missing, ...]
    only_measured: tuple[Missing, ...]
    lifetimes: tuple[Lifetime, ...]
    """The weightiest: bytes times the requests by which they differ."""
    lifetimes_count: int

    @property
    def are_equal(self) -> bool:
        """Whether there is nothing that differs."""
        return self.first is None and not self.lifetimes_count


def compare_events(forecast: Trace, measured: Trace, aligned: Alignment, scratch: Column) -> EventDifferences:
    """Return what differs; `scratch` are the blocks of the measured run that are known to be scratch."""
    lifetimes = _lifetimes(forecast, measured, aligned)
    tensors = np.setdiff1d(aligned.only_measured, scratch)
    own = aligned.only_forecast[forecast.components[aligned.only_forecast] != Component.WORKSPACE]
    return EventDifferences(
        pairs=len(aligned.forecast),
        paired_bytes=int(forecast.sizes[aligned.forecast].sum()),
        by_phase=aligned.by_phase,
        first=_first(forecast, measured, aligned, aligned.only_forecast, aligned.only_measured),
        first_tensor=_first(forecast, measured, aligned, own, tensors),
        only_forecast=_missing(forecast, aligned.only_forecast),
        only_measured=_missing(measured, aligned.only_measured),
        lifetimes=tuple(lifetimes[:_SHOWN]),
        lifetimes_count=len(lifetimes),
    )


def _first(forecast: Trace, measured: Trace, aligned: Alignment, ours: Column, theirs: Column) -> Divergence | None:
    """Return the first place where one of `ours` or `theirs` stands among the pairs."""
    born, measured_born = (np.sort(trace.allocated_at[side]) for trace, side in ((forecast, aligned.forecast), (measured, aligned.measured)))
    before = int(np.searchsorted(born, forecast.allocated_at[ours].min())) if len(ours) else None
    measured_before = int(np.searchsorted(measured_born, measured.allocated_at[theirs].min())) if len(theirs) else None
    places = [place for place in (before, measured_before) if place is not None]
    if not places:
        return None
    place = min(places)
    return Divergence(
        matched=place,
        forecast=_next(forecast, ours if before == place else aligned.forecast[place:]),
        measured=_next(measured, theirs if measured_before == place else aligned.measured[place:]),
    )


def _next(trace: Trace, blocks: Column) -> Request | None:
    """Return the earliest request of some blocks."""
    return _request(trace, int(blocks[np.argmin(trace.allocated_at[blocks])])) if len(blocks) else None


def _request(trace: Trace, block: int) -> Request:
    event = int(trace.allocated_at[block])
    step, phase, module, operator = step_phase_module_operator(trace, event)
    return Request(event, int(trace.sizes[block]), step, phase, module, operator)


def _missing(trace: Trace, blocks: Column) -> tuple[Missing, ...]:
    """Return what has no partner by operator and phase, most bytes first."""
    counts: Counter[tuple[str, str]] = Counter()
    sizes: Counter[tuple[str, str]] = Counter()
    for block in blocks.tolist():
        request = _request(trace, block)
        key = (request.operator, request.phase)
        counts[key] += 1
        sizes[key] += request.size
    return tuple(Missing(operator, phase, counts[operator, phase], size) for (operator, phase), size in sizes.most_common())


def _lifetimes(forecast: Trace, measured: Trace, aligned: Alignment) -> list[Lifetime]:
    """Return the pairs that are freed at different places among the shared requests, the weightiest first."""
    ours, theirs = _freed_after(forecast, aligned.forecast), _freed_after(measured, aligned.measured)
    sizes = forecast.sizes[aligned.forecast]
    differing = np.flatnonzero(ours != theirs)
    weights = sizes[differing] * np.abs(ours[differing] - theirs[differing])
    order = differing[np.argsort(-weights, kind="stable")]
    end = len(aligned.forecast) + 1
    return [Lifetime(_request(forecast, int(aligned.forecast[pair])), _place(int(ours[pair]), end), _place(int(theirs[pair]), end)) for pair in order]


def _freed_after(trace: Trace, blocks: Column) -> Column:
    """Return how many of the shared requests come before each block's end; one more than there are where it has none."""
    births = np.sort(trace.allocated_at[blocks])
    places = np.searchsorted(births, trace.freed_at[blocks])
    return np.where(trace.freed_at[blocks] == len(trace), len(blocks) + 1, places).astype(np.int64)


def _place(place: int, end: int) -> int | None:
    return None if place == end else place
