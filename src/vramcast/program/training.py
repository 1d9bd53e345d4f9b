"""Training: the loop people write, with its variables living as long as theirs do.

`batch`, `outputs` and `loss` of one step are still held when the next one begins, until they are assigned anew; that
moves the peak, and it is what a real loop does.
"""

from __future__ import annotations

from typing import Any

import torch

from vramcast.program.ema import MovingAverage
from vramcast.program.losses import with_loss
from vramcast.program.optimizer import make_optimizer, parameters_to_train
from vramcast.program.precision import autocast, scaler
from vramcast.program.probe import Probe
from vramcast.program.program import Program
from vramcast.program.staging import stream
from vramcast.program.tasks.interface import tensors_in
from vramcast.trace import Component


def train(program: Program, probe: Probe) -> Any:
    """Run `steps` optimizer steps and return what the loop still holds."""
    workload, module = program.workload, program.module
    task = with_loss(program.task, workload)
    parameters = parameters_to_train(module)
    optimizer = make_optimizer(parameters, workload)
    average = _moving_average(program, probe)
    gradient_scaler = scaler(workload)
    probe.phase("staging", 0)
    batches = stream(task, program.setting, probe)
    batch = outputs = loss = None
    for step in range(workload.steps):
        if workload.zero_grad == "start":
            _zero(optimizer, probe, step, workload.set_to_none)
        for micro_step in range(workload.accumulate):
            probe.phase("staging", step)
            batch = next(batches)
            probe.phase("forward", step)
            with autocast(workload.precision):
                outputs, loss = task.loss(module, batch)
            probe.claim(Component.OUTPUTS, tensors_in([outputs, loss]))
            if workload.zero_grad == "before-backward" and micro_step == 0:
                _zero(optimizer, probe, step, workload.set_to_none)
            probe.phase("backward", step)
            gradient_scaler.scale(loss).backward()
            probe.claim(Component.GRADIENTS, (parameter.grad for parameter in parameters if parameter.grad is not None))
        probe.phase("optimizer", step)
        _step(optimizer, gradient_scaler, parameters, clip=workload.clip_grad)
        probe.claim(Component.OPTIMIZER_STATES, _states(optimizer))
        if average is not None:
            probe.phase("ema", step)
            average.update(module)
        if workload.zero_grad == "after-step":
            _zero(optimizer, probe, step, workload.set_to_none)
    return batch, outputs, loss


def _moving_average(program: Program, probe: Probe) -> MovingAverage | None:
    if program.workload.ema != "gpu":
        return None
    average = MovingAverage(program.module)
    probe.claim(Component.EMA, [*average.module.parameters(), *average.module.buffers()])
    return average


def _zero(optimizer: torch.optim.Optimizer, probe: Probe, step: int, set_to_none: bool) -> None:
    probe.phase("zero_grad", step)
    optimizer.zero_grad(set_to_none=set_to_none)


def _step(optimizer: torch.optim.Optimizer, gradient_scaler: torch.amp.GradScaler, parameters: list[torch.nn.Parameter], clip: bool) -> None:
    if clip:
        gradient_scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    gradient_scaler.step(optimizer)
    gradient_scaler.update()


def _states(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [value for state in optimizer.state.values() for value in tensors_in(state)]
