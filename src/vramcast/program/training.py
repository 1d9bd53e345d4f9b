"""Training: the loop people write, with its variables living as long as theirs do.

`batch`, `outputs` and `loss` of one step are still held when the next one begins, until they are assigned anew; that
moves the peak, and it is what a real loop does. A whole run goes on to validate and to save a checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vramcast.program.checkpoint_save import save_checkpoint
from vramcast.program.ema import MovingAverage
from vramcast.program.losses import with_loss
from vramcast.program.optimizer import make_optimizer
from vramcast.program.parameter_groups import parameter_groups, parameters_to_train
from vramcast.program.precision import autocast, scaler
from vramcast.program.probe import Probe
from vramcast.program.program import Program
from vramcast.program.resume import resume
from vramcast.program.staging import stream
from vramcast.program.tasks.interface import Batch, Task, tensors_in
from vramcast.program.validation import validate
from vramcast.trace import Component
from vramcast.workload import Workload

MICRO_STEPS = 2
"""Micro steps run where gradients are accumulated: the first makes them, the second adds to them, all others repeat it."""


@dataclass(slots=True)
class Training:
    """What a training loop has: the tools it made at the start, and the variables of its current step."""

    module: nn.Module
    task: Task
    workload: Workload
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    gradient_scaler: torch.amp.GradScaler
    batch: Batch | None = None
    outputs: Any = None
    loss: torch.Tensor | None = None

    def leave_epoch(self) -> None:
        """Return from the function an epoch is, where it is one: its variables go."""
        if self.workload.habits.epoch == "function":
            self.batch = self.outputs = self.loss = None


def train(program: Program, probe: Probe) -> Training:
    """Run `steps` optimizer steps, and what else belongs to a run; return what the loop still holds."""
    workload = program.workload
    training = _begin(program, probe)
    average = training.average.module if training.average else None
    if workload.resume:
        resume(training.module, average, training.optimizer, workload, probe)
    _run_steps(training, program, probe)
    if workload.phases == "run":
        training.leave_epoch()
        last = workload.steps - 1
        validate(program, training.task, average, probe, last)
        save_checkpoint(average or training.module, training.optimizer, workload, probe, last)
    return training


def _begin(program: Program, probe: Probe) -> Training:
    workload, module = program.workload, program.module
    optimizer = make_optimizer(parameter_groups(module, workload), workload)
    return Training(
        module=module,
        task=with_loss(program.task, workload),
        workload=workload,
        parameters=parameters_to_train(module),
        optimizer=optimizer,
        average=_moving_average(program, probe),
        gradient_scaler=scaler(workload),
    )


def _moving_average(program: Program, probe: Probe) -> MovingAverage | None:
    if program.workload.ema != "gpu":
        return None
    average = MovingAverage(program.module)
    probe.claim(Component.EMA, [*average.module.parameters(), *average.module.buffers()])
    probe.adopt(average.module, Component.EMA, Component.EMA)
    return average


def _run_steps(training: Training, program: Program, probe: Probe) -> None:
    workload = training.workload
    probe.phase("staging", 0)
    batches = stream(training.task, program.setting, probe)
    for step in range(workload.steps):
        if workload.zero_grad == "start":
            _zero(training, probe, step)
        for micro_step in range(min(workload.accumulate, MICRO_STEPS)):
            probe.phase("staging", step)
            training.batch = next(batches)
            _forward_and_backward(training, probe, step, is_first=micro_step == 0)
        _update(training, probe, step)


def _forward_and_backward(training: Training, probe: Probe, step: int, *, is_first: bool) -> None:
    workload = training.workload
    assert training.batch is not None
    probe.phase("forward", step)
    with autocast(workload.precision):
        training.outputs, training.loss = training.task.loss(training.module, training.batch)
    probe.claim(Component.OUTPUTS, tensors_in([training.outputs, training.loss]))
    if workload.zero_grad == "before-backward" and is_first:
        _zero(training, probe, step)
    probe.phase("backward", step)
    scaled: Any = training.gradient_scaler.scale(training.loss)
    scaled.backward()
    probe.claim(Component.GRADIENTS, (parameter.grad for parameter in training.parameters if parameter.grad is not None))


def _update(training: Training, probe: Probe, step: int) -> None:
    """Step the optimizer; gradients cleared after the step go before the average is updated, as in ultralytics and timm."""
    workload = training.workload
    probe.phase("optimizer", step)
    _step(training)
    probe.claim(Component.OPTIMIZER_STATES, (value for state in training.optimizer.state.values() for value in tensors_in(state)))
    if workload.zero_grad == "after-step":
        _zero(training, probe, step)
    if training.average is not None:
        probe.phase("ema", step)
        training.average.update(training.module)


def _step(training: Training) -> None:
    if training.workload.clip_grad:
        training.gradient_scaler.unscale_(training.optimizer)
        torch.nn.utils.clip_grad_norm_(training.parameters, 1.0)
    training.gradient_scaler.step(training.optimizer)
    training.gradient_scaler.update()


def _zero(training: Training, probe: Probe, step: int) -> None:
    probe.phase("zero_grad", step)
    training.optimizer.zero_grad(set_to_none=training.workload.set_to_none)
