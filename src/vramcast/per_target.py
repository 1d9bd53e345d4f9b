"""What one more object per image costs: the same forecast with a few objects more.

Defined as (peak allocated bytes with `EXTRA_TARGETS` more objects per image - peak allocated bytes) / `EXTRA_TARGETS`, both
taken in the phase in which most bytes of the run are allocated, the first time that phase is run. One step is therefore enough: what
objects cost is the same in all of them.
"""

from __future__ import annotations

import numpy as np

from vramcast.answer import Estimate
from vramcast.sources.interface import DEFAULT_TARGETS, TASKS_WITH_OBJECTS
from vramcast.trace import Phase
from vramcast.workload import Workload

EXTRA_TARGETS = 10
"""How many objects more per image: enough for the allocator's rounding to matter little."""

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


def _peak_phase(estimate: Estimate) -> str:
    """Return the phase with most allocated bytes; most are reserved perhaps later, where a request finds no block left."""
    event = int(estimate.timeline.allocated.argmax())
    phase: Phase = estimate.trace.phases[int(estimate.trace.event_phases()[event])]
    return phase.name


def _first_peak(estimate: Estimate, name: str) -> int:
    """Return the peak allocated bytes of a phase in the first step that has it."""
    trace, allocated = estimate.trace, estimate.timeline.allocated
    step = min(phase.step for phase in trace.phases if phase.name == name)
    is_meant = np.array([phase.name == name and phase.step == step for phase in trace.phases])
    return int(allocated[is_meant[trace.event_phases()[: len(allocated)]]].max(initial=0))
