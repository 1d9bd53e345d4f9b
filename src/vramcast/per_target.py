"""What one more object per image costs: the same forecast with a few objects more.

Defined as (peak requested bytes with `EXTRA_TARGETS` more objects per image - peak requested bytes) / `EXTRA_TARGETS`, both
taken in the phase in which most bytes of the run are alive, the first time that phase is run. One step is therefore enough:
what objects cost is the same in all of them. Requested bytes are what tensors ask for; allocated ones change by up to a
mebibyte per block with where a block happens to lie, which would drown what an object costs.
"""

from __future__ import annotations

import numpy as np

from vramcast.answer import Estimate
from vramcast.sources.interface import DEFAULT_TARGETS, TASKS_WITH_OBJECTS
from vramcast.trace import Column, Event, Phase, Trace
from vramcast.workload import Workload

EXTRA_TARGETS = 10
"""How many objects more per image are run."""

_PHASES_OF_A_STEP = frozenset({"staging", "forward", "loss", "backward", "optimizer", "zero_grad", "ema"})


def has_targets(task: str, workload: Workload) -> bool:
    """Tell whether objects per image play a role: in training by the model's own loss."""
    return task in TASKS_WITH_OBJECTS and workload.is_training and workload.loss is None


def with_more_targets(estimate: Estimate, workload: Workload) -> Workload:
    """Return the least that has to be run with more objects."""
    targets = DEFAULT_TARGETS if workload.targets is None else workload.targets
    more = workload.with_fields(targets=targets + EXTRA_TARGETS, steps=1)
    if _peak_phase(estimate) not in _PHASES_OF_A_STEP:
        return more
    return more.with_fields(phases="step", validation=None, resume=False)


def bytes_per_target(estimate: Estimate, more: Estimate) -> int:
    """Return what one more object per image costs at the peak, in bytes, from a forecast and the same with more objects."""
    phase = _peak_phase(estimate)
    return (_first_peak(more, phase) - _first_peak(estimate, phase)) // EXTRA_TARGETS


def requested_bytes(trace: Trace) -> Column:
    """Return, after each event, the bytes that live blocks asked for."""
    changes = np.zeros(len(trace), np.int64)
    for kind, sign in ((Event.ALLOCATE, 1), (Event.FREE, -1)):
        events = trace.kinds == kind
        changes[events] = sign * trace.sizes[trace.blocks[events]]
    return np.cumsum(changes)


def _peak_phase(estimate: Estimate) -> str:
    """Return the phase in which most bytes are asked for; most are reserved perhaps later, where a request finds no block left."""
    event = int(requested_bytes(estimate.trace).argmax())
    phase: Phase = estimate.trace.phases[int(estimate.trace.event_phases()[event])]
    return phase.name


def _first_peak(estimate: Estimate, name: str) -> int:
    """Return the peak of requested bytes of a phase in the first step that has it."""
    trace = estimate.trace
    step = min(phase.step for phase in trace.phases if phase.name == name)
    is_meant = np.array([phase.name == name and phase.step == step for phase in trace.phases])
    return int(requested_bytes(trace)[is_meant[trace.event_phases()]].max(initial=0))
