"""A loss given by name takes the place of the task's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Loss, Setting, Task
from vramcast.workload import Workload


@dataclass(frozen=True, slots=True)
class TaskWithLoss:
    """A task judged by another loss: `loss(outputs, targets)`, or `loss(outputs)` where it takes one argument."""

    task: Task
    function: Loss
    takes_targets: bool

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """As the task does."""
        self.task.prepare(module, setting, probe)

    def batch(self, setting: Setting) -> Batch:
        """As the task does."""
        return self.task.batch(setting)

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """As the task does."""
        return self.task.outputs(module, batch)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The module's outputs and the given loss of them."""
        outputs = self.task.outputs(module, batch)
        return outputs, self.function(outputs, batch.targets) if self.takes_targets else self.function(outputs)

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """As the task does."""
        return self.task.after_inference(module, outputs, batch)


def with_loss(task: Task, workload: Workload) -> Task:
    """Return the task with the loss the workload names, or as it is.

    Raises:
        InvalidFileError, UnknownNameError: the loss cannot be loaded.
    """
    if workload.loss is None:
        return task
    import inspect

    from vramcast.sources.python_callable import load_callable

    function = load_callable(workload.loss)
    required = [item for item in inspect.signature(function).parameters.values() if item.default is inspect.Parameter.empty]
    return TaskWithLoss(task, function, takes_targets=len(required) > 1)
