"""Every optimizer, stepped on traced parameters: what it keeps, and what it needs beside that while it steps.

The extra bytes are those that running torch 2.13's optimizers on eight equal tensors shows (torch/optim/*.py): a foreach
version makes copies of all tensors at once, a for-loop version of one, a fused kernel of none.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from traced_steps import events_of, held_as, live_bytes

from vramcast.program.optimizer import make_optimizer
from vramcast.program.optimizer_state import restore_states
from vramcast.program.tasks.interface import tensors_in
from vramcast.rules import state_bytes
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.trace import Component, Subject, Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.tracer import Tracer
from vramcast.workload import OPTIMIZERS, Workload

SIDE, COUNT = 64, 8
ONE = 4 * SIDE * SIDE
"""Bytes of one of `COUNT` equal parameters."""
FUSED = ("sgd", "momentum", "nesterov", "adam", "adamw", "adagrad")
SINGLE_WAY = ("muon", "musgd", "lion", "adam8bit", "adamw8bit", "lion8bit")


def stepped(workload: Workload, steps: int = 2, resumed: bool = False) -> Trace:
    """The trace of an optimizer's steps over `COUNT` square parameters with gradients."""
    with dynamo_postponed(), Tracer() as tracer:
        parameters = [nn.Parameter(torch.zeros(SIDE, SIDE, device="cuda")) for _ in range(COUNT)]
        group = {"params": parameters, "use_muon": True} if workload.optimizer == "musgd" else {"params": parameters}
        optimizer = make_optimizer([group], workload)
        if resumed:
            restore_states(optimizer)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        for step in range(steps):
            tracer.phase("optimizer", step)
            optimizer.step()
        tracer.claim(Component.OPTIMIZER_STATES, [value for state in optimizer.state.values() for value in tensors_in(state)])
        recording = tracer.recording()
    return attribute(recording, Subject(name="parameters", source="test", parameters=0, trainable_parameters=0))


def workload(optimizer: str, loop: str = "default", weight_decay: float | None = None) -> Workload:
    return Workload.train(optimizer=optimizer, optimizer_loop=loop, weight_decay=weight_decay)


def extra(trace: Trace) -> float:
    """Bytes above what stays, in parameters, at the peak of the last step."""
    events = events_of(trace, "optimizer", 1)
    if not len(events):
        return 0.0
    alive = live_bytes(trace)
    return float(alive[events].max() - alive[events[-1]]) / ONE


def scalars_on_card(optimizer: str, loop: str) -> int:
    """Bytes of counters and tables that the closed-form rules leave out."""
    if optimizer == "asgd":
        return 3 * 4 * COUNT
    if loop == "fused" and optimizer in ("adam", "adamw", "adagrad"):
        return 4 * COUNT
    return {"adam8bit": 2, "adamw8bit": 2, "lion8bit": 1}.get(optimizer, 0) * 1024


WAYS = [
    (optimizer, loop)
    for optimizer in OPTIMIZERS
    for loop in ("default", "for-loop", "fused")
    if (loop != "fused" or optimizer in FUSED) and (loop == "default" or optimizer not in SINGLE_WAY)
]


@pytest.mark.parametrize(("optimizer", "loop"), WAYS)
def test_states_are_those_of_the_closed_form(optimizer: str, loop: str) -> None:
    trace = stepped(workload(optimizer, loop))
    expected = state_bytes(optimizer, [(SIDE, SIDE)] * COUNT, "fp32") + scalars_on_card(optimizer, loop)
    assert held_as(trace, Component.OPTIMIZER_STATES, len(trace) - 1) == expected


FOREACH = {
    "sgd": 0, "momentum": 0, "nesterov": 0, "adam": COUNT, "adamw": COUNT, "rmsprop": COUNT, "adagrad": 2 * COUNT, "adadelta": 2 * COUNT,
    "adamax": COUNT, "nadam": COUNT, "radam": COUNT, "rprop": COUNT + 1.25, "asgd": COUNT, "adafactor": COUNT,
}  # fmt: skip
"""Extra parameters' worth of bytes of the foreach versions, weight decay as by default."""
FOR_LOOP = {
    "sgd": 0, "momentum": 0, "nesterov": 1, "adam": 3, "adamw": 3, "rmsprop": 2, "adagrad": 2, "adadelta": 3, "adamax": 1, "nadam": 3, "radam": 2,
    "asgd": 1, "adafactor": 2, "lion": 4, "muon": 3, "adam8bit": 0, "adamw8bit": 0, "lion8bit": 0,
}  # fmt: skip


@pytest.mark.parametrize(("optimizer", "expected"), FOREACH.items())
def test_foreach_copies_all_parameters_at_once(optimizer: str, expected: float) -> None:
    assert extra(stepped(workload(optimizer))) == pytest.approx(expected, abs=0.05)
    assert extra(stepped(workload(optimizer, "foreach"))) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("optimizer", "expected"), FOR_LOOP.items())
def test_a_loop_copies_one_parameter_at_a_time(optimizer: str, expected: float) -> None:
    loop = "default" if optimizer in SINGLE_WAY else "for-loop"
    assert extra(stepped(workload(optimizer, loop))) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize("optimizer", FUSED)
@pytest.mark.parametrize("weight_decay", [None, 0.01])
def test_fused_kernels_copy_nothing(optimizer: str, weight_decay: float | None) -> None:
    assert extra(stepped(workload(optimizer, "fused", weight_decay))) == 0


@pytest.mark.parametrize(
    ("optimizer", "loop", "expected"), [("momentum", "foreach", COUNT), ("momentum", "for-loop", 1), ("nesterov", "for-loop", 2)]
)
def test_weight_decay_copies_gradients(optimizer: str, loop: str, expected: int) -> None:
    assert extra(stepped(workload(optimizer, loop, 0.01))) == expected


@pytest.mark.parametrize(("optimizer", "loop"), WAYS)
def test_resumed_states_are_those_of_a_step(optimizer: str, loop: str) -> None:
    """Names, shapes, types and devices of restored states equal those the optimizer itself makes, on real tensors."""
    made, restored = ({}, {})
    for states, is_resumed in ((made, False), (restored, True)):
        parameters = [nn.Parameter(torch.zeros(6, 5)), nn.Parameter(torch.zeros(7)), nn.Parameter(torch.zeros(4, 3, 2, 2))]
        optimizer_made = make_optimizer([{"params": parameters}], workload(optimizer, loop))
        if is_resumed:
            restore_states(optimizer_made)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        if not is_resumed:
            optimizer_made.step()
        for index, parameter in enumerate(parameters):
            for name, value in optimizer_made.state[parameter].items():
                states[index, name] = (value.shape, value.dtype, value.device) if isinstance(value, torch.Tensor) else type(value)
    assert restored == made


@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "adafactor", "musgd", "lion8bit"])
def test_a_step_after_resuming_makes_no_states(optimizer: str) -> None:
    trace = stepped(workload(optimizer), resumed=True)
    alive = live_bytes(trace)
    events = events_of(trace, "optimizer")
    assert not len(events) or alive[events[-1]] == alive[events[0] - 1]
    fresh = stepped(workload(optimizer))
    assert held_as(trace, Component.OPTIMIZER_STATES, len(trace) - 1) == held_as(fresh, Component.OPTIMIZER_STATES, len(fresh) - 1)


def test_groups_bound_the_temporaries_of_foreach() -> None:
    """Two groups of half the parameters need half the temporaries."""
    peaks = []
    for sizes in ([COUNT], [COUNT // 2, COUNT // 2]):
        with dynamo_postponed(), Tracer() as tracer:
            groups = [{"params": [nn.Parameter(torch.zeros(SIDE, SIDE, device="cuda")) for _ in range(size)]} for size in sizes]
            optimizer = make_optimizer(groups, workload("adamw"))
            for group in groups:
                for parameter in group["params"]:
                    parameter.grad = torch.zeros_like(parameter)
            for step in range(2):
                tracer.phase("optimizer", step)
                optimizer.step()
            recording = tracer.recording()
        peaks.append(extra(attribute(recording, Subject(name="groups", source="test", parameters=0, trainable_parameters=0))))
    assert peaks == [COUNT, COUNT // 2]


def test_musgd_keeps_two_states_of_matrices_and_filters() -> None:
    with dynamo_postponed(), Tracer() as tracer:
        matrix, vector = (nn.Parameter(torch.zeros(*shape, device="cuda")) for shape in ((SIDE, SIDE), (SIDE,)))
        groups = [{"params": [matrix], "use_muon": True}, {"params": [vector], "use_muon": False}]
        optimizer = make_optimizer(groups, workload("musgd"))
        for parameter in (matrix, vector):
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        assert {len(optimizer.state[matrix]), len(optimizer.state[vector])} == {2, 1}
        tracer.claim(Component.OPTIMIZER_STATES, [value for state in optimizer.state.values() for value in tensors_in(state)])
        trace = attribute(tracer.recording(), Subject(name="two", source="test", parameters=0, trainable_parameters=0))
    assert held_as(trace, Component.OPTIMIZER_STATES, len(trace) - 1) == 2 * ONE + 4 * SIDE
    assert np.all(trace.sizes > 0)
