"""The validation pass between epochs: its own batch and precision, no gradients, everything of training still in place.

Two batches run: when the second one does, the results of the first are still held. Ultralytics (8.4, engine/validator.py)
timm (train.py, `validate`) and torchvision's references compute the loss too. All validate in `torch.inference_mode`; what
that changes for memory, and nothing else, is in `autocast_in_validation`.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vramcast.program.cache import empty_before_validation
from vramcast.program.precision import autocast_in_validation, module_dtype
from vramcast.program.probe import Probe
from vramcast.program.program import Program, setting_of
from vramcast.program.staging import stream
from vramcast.program.tasks.interface import Setting, Task, tensors_in
from vramcast.program.validation_loss import outputs_and_loss
from vramcast.sources.interface import TASKS_WITH_OBJECTS, Model
from vramcast.trace import Component
from vramcast.workload import Precision, Validation, Workload

BATCHES = 2
STRIDE = 32
"""The largest stride of YOLO's detectors, which their images are multiples of."""


def validate(program: Program, task: Task, average: nn.Module | None, probe: Probe, step: int) -> None:
    """Run the validation pass of a run, over the averaged module where the workload says so."""
    plan = plan_of(program.workload)
    uses_average = plan.uses_ema and average is not None
    module = average if uses_average and average is not None else program.module
    setting = setting_of_pass(program.setting, plan)
    empty_before_validation(program.workload)
    probe.phase("validation", step)
    weights, buffers = (Component.EMA, Component.EMA) if uses_average else (Component.WEIGHTS, Component.BUFFERS)
    with _evaluating(module), _held_in(module, plan.precision, weights, buffers, probe), torch.no_grad():
        _run(module, task, setting, plan, probe)


def plan_of(workload: Workload) -> Validation:
    """Return the workload's validation pass; by default the training batch, in its precision, over the average if there is one."""
    return workload.validation or Validation(batch=workload.batch, precision=workload.precision, uses_ema=workload.ema == "gpu")


def setting_of_pass(training: Setting, plan: Validation) -> Setting:
    """Return the sizes of a validation pass; multi-scale training validates at the base size."""
    workload = training.workload
    image = plan.image or _padded(setting_of(training.model, workload.with_fields(image_range=None)).image, training.model, workload)
    is_half = plan.precision == "amp-fp16" and workload.habits.half_validation_inputs
    dtype = torch.float16 if is_half else module_dtype(plan.precision)
    return replace(training, image=image, batch=plan.batch, dtype=dtype)


def _padded(image: tuple[int, int], model: Model, workload: Workload) -> tuple[int, int]:
    """Return the largest image of a validation set whose images are padded; those of classifiers are cropped instead."""
    pad = workload.habits.validation_pad
    if not pad or model.task not in TASKS_WITH_OBJECTS:
        return image
    height, width = (math.ceil(side / STRIDE + pad) * STRIDE for side in image)
    return height, width


def _run(module: nn.Module, task: Task, setting: Setting, plan: Validation, probe: Probe) -> None:
    batches = stream(task, setting, probe)
    kept: deque[Any] = deque(maxlen=setting.workload.habits.kept_outputs)
    outputs: Any = None
    for index in range(BATCHES):
        batch = next(batches)
        with autocast_in_validation(plan.precision):
            outputs, loss = outputs_and_loss(task, module, batch, setting)
        outputs = task.after_inference(module, outputs, batch)
        probe.claim(Component.OUTPUTS, tensors_in([outputs, loss]))
        kept.append(outputs)
        if index == 0:
            kept.extend(_like(outputs, len(kept) and setting.workload.habits.kept_outputs - BATCHES, probe))


def _like(outputs: Any, count: int, probe: Probe) -> Iterator[list[torch.Tensor]]:
    """Yield `count` further sets of outputs: those of batches that are not run because they repeat the first."""
    for _ in range(count):
        copies = [torch.empty_like(tensor) for tensor in tensors_in(outputs)]
        probe.claim(Component.OUTPUTS, copies)
        yield copies


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)


@contextlib.contextmanager
def _held_in(module: nn.Module, precision: Precision, weights: Component, buffers: Component, probe: Probe) -> Iterator[None]:
    """Hold a module in the type a precision asks for: converted in place, tensor by tensor, and back.

    As ultralytics does before 8.4 (`model.half()`, then `model.float()`) and transformers' `fp16_full_eval`.
    """
    own = next((parameter.dtype for parameter in module.parameters()), torch.float32)
    wanted = module_dtype(precision)
    if wanted is own:
        yield
        return
    for dtype in (wanted, own):
        module.to(dtype)
        probe.claim(weights, module.parameters())
        probe.claim(buffers, module.buffers())
        if dtype is wanted:
            yield
