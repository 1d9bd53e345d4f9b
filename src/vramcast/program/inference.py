"""Inference: the module called without gradients, the batch of the last call still held."""

from __future__ import annotations

from typing import Any

import torch

from vramcast.program.key_value_cache import cached_tensors
from vramcast.program.precision import autocast
from vramcast.program.probe import Probe
from vramcast.program.program import Program
from vramcast.program.staging import stream
from vramcast.program.tasks.interface import tensors_in
from vramcast.trace import Component


@torch.no_grad()
def infer(program: Program, probe: Probe) -> Any:
    """Call the module `steps` times, as a serving loop does; return the last outputs."""
    workload = program.workload
    probe.phase("staging", 0)
    batches = stream(program.task, program.setting, probe)
    outputs: Any = None
    for step in range(workload.steps):
        batch = next(batches)
        probe.phase("forward", step)
        with autocast(workload.precision):
            outputs = program.task.outputs(program.module, batch)
        probe.claim(Component.OUTPUTS, tensors_in(outputs))
        probe.claim(Component.KV_CACHE, cached_tensors(outputs))
        probe.phase("staging", step + 1)
    return outputs
