"""Resuming: optimizer states are on the GPU before the first forward pass, so the first step is as heavy as any other.

What is assumed: a new process builds module, optimizer and average, loads the checkpoint, copies the weights into the
module in place, hands the optimizer its states, and lets go of the checkpoint before the first step. A checkpoint loaded
to the GPU (`torch.load` without `map_location`) has a second set of weights, and of the average, for that long; one
loaded to the host has none.
"""

from __future__ import annotations

import torch
from torch import nn

from vramcast.program.optimizer_state import restore_states
from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import tensors_in
from vramcast.trace import Component
from vramcast.workload import Workload


@torch.no_grad()
def resume(module: nn.Module, average: nn.Module | None, optimizer: torch.optim.Optimizer, workload: Workload, probe: Probe) -> None:
    """Restore the optimizer's states from a checkpoint that lies where the workload's habits say."""
    probe.phase("resume", -1)
    loaded = []
    if workload.habits.checkpoint_device == "cuda":
        loaded = [torch.empty_like(tensor) for part in (module, average) if part is not None for tensor in part.state_dict().values()]
    restore_states(optimizer)
    probe.claim(Component.OPTIMIZER_STATES, (value for state in optimizer.state.values() for value in tensors_in(state)))
    loaded.clear()
