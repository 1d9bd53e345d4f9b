"""From a freshly built module to a program."""

from __future__ import annotations

import torch
from torch import nn

from vramcast.program.adapters import attach_adapters, hold_base
from vramcast.program.checkpointing import checkpoint_blocks, checkpoint_named
from vramcast.program.freezing import freeze
from vramcast.program.language_habits import apply_language_habits
from vramcast.program.precision import convert
from vramcast.program.probe import Probe
from vramcast.program.program import Program, setting_of
from vramcast.program.tasks.registry import TASKS
from vramcast.sources.interface import Model
from vramcast.trace import Component
from vramcast.workload import Workload


def prepare(module: nn.Module, model: Model, workload: Workload, probe: Probe) -> Program:
    """Take a freshly built module on the device and get it ready for the workload.

    Raises:
        WorkloadError: a pattern of `freeze` meets no parameter, one of `checkpoint_modules` no module, a name in `lora` no layer, or a habit of
            language models does not go with this one.
    """
    setting = setting_of(model, workload)
    convert(module, workload.precision)
    if workload.lora is not None:
        for caveat in attach_adapters(module, workload.lora, hold_base(module, workload)):
            probe.caveat(caveat)
    if workload.channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module.train(workload.is_training)
    if workload.is_training:
        freeze(module, workload.freeze)
    apply_language_habits(module, workload)
    probe.adopt(module, Component.WEIGHTS, Component.BUFFERS)
    task = TASKS[model.task]()
    task.prepare(module, setting, probe)
    if workload.checkpointing:
        checkpoint_blocks(module, probe)
    if workload.checkpoint_modules:
        checkpoint_named(module, workload.checkpoint_modules)
    return Program(module, task, setting)
