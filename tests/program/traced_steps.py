"""Small models traced under a workload, and what their traces hold; shared by the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from vramcast.backends.eager.program import trace_program
from vramcast.sources.interface import Model
from vramcast.trace import Component, Event, Trace
from vramcast.workload import Workload

A100 = (8, 0)


def model_of(build: Callable[[], nn.Module], task: str = "generic", **fields: Any) -> Model:
    """A model of the tests' own."""
    return Model(name=build.__name__, source="test", task=task, build=lambda _: build(), **fields)


def traced(model: Model, workload: Workload) -> Trace:
    """The checked trace of a model under a workload."""
    trace = trace_program(model, workload, A100, lambda _: None)
    trace.validate()
    return trace


def live_bytes(trace: Trace) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Requested bytes alive after each event."""
    sizes = np.where(trace.kinds == Event.ALLOCATE, trace.sizes[trace.blocks], -trace.sizes[trace.blocks])
    return np.cumsum(sizes)


def events_of(trace: Trace, phase: str, step: int | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Indices of the events of a phase, in every step or in one."""
    wanted = [index for index, known in enumerate(trace.phases) if known.name == phase and step in (None, known.step)]
    return np.flatnonzero(np.isin(trace.event_phases(), wanted))


def phase_peak(trace: Trace, phase: str, step: int | None = None) -> int:
    """Most bytes alive in a phase."""
    return int(live_bytes(trace)[events_of(trace, phase, step)].max())


def held_as(trace: Trace, component: Component, event: int) -> int:
    """Bytes of a component alive after an event."""
    live = trace.live_blocks(event)
    return int(trace.sizes[live][trace.components[live] == component].sum())


def operators_in(trace: Trace, phase: str) -> set[str]:
    """Names of the operators called in a phase."""
    wanted = [index for index, known in enumerate(trace.phases) if known.name == phase]
    return {trace.operators[name] for name in trace.operation_operators[np.isin(trace.operation_phases, wanted)]}
