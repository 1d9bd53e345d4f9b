"""What each block is for: pure passes over a finished recording. The first claim on a block wins.

1. what the program said (weights, gradients, optimizer states, inputs, outputs …);
2. born in a training forward and alive when it ends: kept for backward, an activation;
3. everything else: a temporary.
"""

from __future__ import annotations

import numpy as np

from vramcast.trace import Column, Component, Event, Subject, Trace
from vramcast.tracing.recorder import Recording


def attribute(recording: Recording, subject: Subject) -> Trace:
    """Return the trace of a recording, with a component and a module for every block."""
    kinds = np.asarray(recording.kinds, np.int64)
    blocks = np.asarray(recording.blocks, np.int64)
    operations = np.asarray(recording.operations, np.int64)
    operation_modules = np.asarray(recording.operation_modules, np.int64)
    operation_phases = np.asarray(recording.operation_phases, np.int64)
    births = np.flatnonzero(kinds == Event.ALLOCATE)
    owners = operation_modules[operations[births]] if len(births) else np.zeros(0, np.int64)
    for block, module in recording.owners.items():
        owners[block] = module
    trace = Trace(
        subject=subject, kinds=kinds, blocks=blocks, operations=operations, sizes=np.asarray(recording.sizes, np.int64),
        components=np.zeros(len(recording.sizes), np.int64), streams=np.asarray(recording.streams, np.int64), block_modules=owners,
        operation_operators=np.asarray(recording.operation_operators, np.int64), operation_modules=operation_modules,
        operation_phases=operation_phases, operators=recording.operators, modules=recording.modules, phases=recording.phases,
        calls=recording.calls, caveats=recording.caveats,
    )  # fmt: skip
    components = np.full(len(trace.sizes), Component.TEMPORARIES, np.int64)
    components[_kept_for_backward(trace)] = Component.ACTIVATIONS
    for block, component in recording.claims.items():
        components[block] = component
    object.__setattr__(trace, "components", components)
    return trace


def _kept_for_backward(trace: Trace) -> Column:
    """Return the blocks born in a forward phase that has a backward phase and alive when that forward ends."""
    phases = trace.event_phases()
    kept = [np.zeros(0, np.int64)]
    for index, phase in enumerate(trace.phases):
        if phase.name != "forward":
            continue
        following = trace.phases[index + 1].name if index + 1 < len(trace.phases) else ""
        if following not in ("loss", "backward", "zero_grad"):
            continue
        events = np.flatnonzero(phases == index)
        if not len(events):
            continue
        first, last = int(events[0]), int(events[-1])
        kept.append(np.flatnonzero((trace.allocated_at >= first) & (trace.allocated_at <= last) & (trace.freed_at > last)))
    return np.concatenate(kept)
