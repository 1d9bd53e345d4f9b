"""A loss given by name takes the place of the task's own."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from vramcast.errors import ModelError, VramcastError
from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Loss, Setting, Task
from vramcast.sources.python_callable import described, failure, load_callable
from vramcast.workload import Workload


@dataclass(frozen=True, slots=True)
class TaskWithLoss:
    """A task judged by another loss: `loss(outputs, targets)`, or `loss(outputs)` where it takes one argument."""

    task: Task
    function: Loss
    name: str
    """As the workload names it."""
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
        """The module's outputs and the given loss of them. Raises `ModelError` where the loss raises or returns anything but one value."""
        outputs = self.task.outputs(module, batch)
        arguments = (outputs, batch.targets) if self.takes_targets else (outputs,)
        try:
            loss = self.function(*arguments)
        except VramcastError:
            raise
        except (Exception, SystemExit) as error:
            raise ModelError(f"the loss {self.name} raised {failure(error)}") from error
        return outputs, self._checked(loss)

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """As the task does."""
        return self.task.after_inference(module, outputs, batch)

    def _checked(self, loss: Any) -> torch.Tensor:
        if not isinstance(loss, torch.Tensor):
            raise ModelError(f"the loss {self.name} returned {described(loss)}; it must return a tensor of one value.")
        if loss.numel() != 1:
            shape = "x".join(map(str, loss.shape))
            raise ModelError(f"the loss {self.name} returned a tensor of shape {shape}; it must return one value: take the mean or the sum.")
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise ModelError(f"the loss {self.name} returned a value that leads to no parameter: it was detached, or the outputs are not in it.")
        return loss


def with_loss(task: Task, workload: Workload) -> Task:
    """Return the task with the loss the workload names, or as it is.

    Raises:
        InvalidFileError, UnknownNameError: the loss cannot be loaded.
    """
    if workload.loss is None:
        return task
    function = load_callable(workload.loss)
    required = [item for item in inspect.signature(function).parameters.values() if item.default is inspect.Parameter.empty]
    return TaskWithLoss(task, function, workload.loss, takes_targets=len(required) > 1)
