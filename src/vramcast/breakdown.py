"""From trace and timeline to the parts of an answer: what is held at the peak, by what, when. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vramcast.footprint import ModuleShare, OperatorShare, PhasePeak, Rung
from vramcast.timeline import Timeline
from vramcast.trace import Column, Component, Phase, Trace

UNALLOCATED = "reserved_unallocated"
CONTEXT = "cuda_context"


def components(trace: Trace, timeline: Timeline, event: int, context: int) -> dict[str, int]:
    """Return component -> bytes at an event; the values add up to reserved bytes plus context."""
    live = trace.live_blocks(event)
    totals = np.bincount(trace.components[live], weights=timeline.block_sizes[live], minlength=len(Component)).astype(np.int64)
    held = {component.label: int(totals[component]) for component in Component}
    held["other"] = held.pop("other")
    held[UNALLOCATED] = int(timeline.reserved[event] - timeline.allocated[event])
    held[CONTEXT] = context
    return held


def modules(trace: Trace, timeline: Timeline, event: int) -> tuple[ModuleShare, ...]:
    """Return what each module holds at an event, its children included, largest first."""
    held: dict[str, dict[str, int]] = {}
    live = trace.live_blocks(event)
    keys = trace.block_modules[live] * len(Component) + trace.components[live]
    distinct, firsts, which = np.unique(keys, return_index=True, return_inverse=True)
    totals = np.zeros(len(distinct), np.int64)
    np.add.at(totals, which, timeline.block_sizes[live])
    for place in np.argsort(firsts).tolist():  # in the order of the blocks
        module, component = divmod(int(distinct[place]), len(Component))
        for name in _with_parents(trace.modules[module]):
            share = held.setdefault(name, {})
            label = Component(component).label
            share[label] = share.get(label, 0) + int(totals[place])
    shares = (ModuleShare(name=name, bytes=sum(parts.values()), components=parts) for name, parts in held.items())
    return tuple(sorted(shares, key=lambda share: (-share.bytes, share.name)))


def operators(trace: Trace, timeline: Timeline, event: int) -> tuple[OperatorShare, ...]:
    """Return what the calls of each operator hold at an event, largest first."""
    live = trace.live_blocks(event)
    names = trace.operation_operators[trace.operations[trace.allocated_at[live]]]
    totals = np.bincount(names, weights=timeline.block_sizes[live], minlength=len(trace.operators)).astype(np.int64)
    shares = (OperatorShare(name=name, bytes=int(total)) for name, total in zip(trace.operators, totals) if total)
    return tuple(sorted(shares, key=lambda share: (-share.bytes, share.name)))


def ladder(trace: Trace, timeline: Timeline, event: int, context: int, driver: int) -> tuple[Rung, ...]:
    """Return the rungs from what tensors ask for to what the card holds.

    `driver` is what firmware and driver keep for themselves: part of the card's memory, of no process.
    """
    reserved = int(timeline.reserved[event])
    return (
        Rung(name="live", bytes=int(trace.sizes[trace.live_blocks(event)].sum()), decides=False),
        Rung(name="allocated", bytes=int(timeline.allocated[event]), decides=False),
        Rung(name="reserved", bytes=reserved, decides=False),
        Rung(name="process", bytes=reserved + context, decides=True),
        Rung(name="device", bytes=reserved + context + driver, decides=False),
    )


STEADY = "steady step"
"""The phase of the run that all steps from the second on belong to."""


def phase_peaks(trace: Trace, timeline: Timeline, context: int) -> tuple[PhasePeak, ...]:
    """Return the peak of each phase of the run, in order; the one with most allocated bytes among those with most reserved binds."""
    end = len(timeline.reserved)
    phases = trace.event_phases()[:end]
    peaks: dict[str, tuple[int, int]] = {}
    for index, phase in enumerate(trace.phases):
        events = np.flatnonzero(phases == index)
        if not len(events):
            continue
        before = peaks.get(run_phase(phase), (0, 0))
        peaks[run_phase(phase)] = (max(before[0], int(timeline.reserved[events].max())), max(before[1], int(timeline.allocated[events].max())))
    binding = run_phase(trace.phases[int(phases[timeline.peak_event()])]) if end else ""
    return tuple(
        PhasePeak(name=name, allocated_bytes=allocated, reserved_bytes=reserved, device_bytes=reserved + context, binding=name == binding)
        for name, (reserved, allocated) in peaks.items()
    )


def run_phase(phase: Phase) -> str:
    """Return the phase of the run that a phase of a step belongs to."""
    if phase.name in ("load", "validation", "checkpoint", "resume", "prefill", "decode"):
        return phase.name
    return "first step" if phase.step <= 0 else STEADY


def _with_parents(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]
    yield ""


def step_phase_module_operator(trace: Trace, event: int) -> tuple[int, str, str, str]:
    """Return when an event happens: step, phase, module and operator."""
    operation = int(trace.operations[event])
    phase = trace.phases[trace.operation_phases[operation]]
    module = trace.modules[trace.operation_modules[operation]]
    return phase.step, phase.name, module, trace.operators[trace.operation_operators[operation]]


def column_max(column: Column) -> int:
    """Return a column's maximum; 0 where it is empty."""
    return int(column.max(initial=0))
