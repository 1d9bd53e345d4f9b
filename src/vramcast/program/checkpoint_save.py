"""Saving a checkpoint: what of it is made on the GPU before it is written.

`state_dict()` holds the very tensors, and `torch.save` copies them to the host one by one, so a plain save takes nothing.
Ultralytics (8.4, engine/trainer.py, `save_model`) first copies the averaged module on the card and turns the copy into
fp16 and into the contiguous layout, then copies the optimizer states and turns some of them into fp16
(utils/torch_utils.py, `convert_optimizer_state_dict_to_fp16`).
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.workload import Workload

_KEPT_IN_FP32 = {"step", "exp_avg", "exp_avg_sq", "square_avg"}


def save_checkpoint(module: nn.Module, optimizer: torch.optim.Optimizer, workload: Workload, probe: Probe, step: int) -> None:
    """Make what a checkpoint of `module` (the averaged one, where there is one) needs on the GPU, and let it go again."""
    probe.phase("checkpoint", step)
    if workload.habits.checkpoint_save == "copies":
        saved = copy.deepcopy(module).half().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        states = _states_in_half(optimizer)
        del saved, states


def _states_in_half(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    states: dict[str, object] = copy.deepcopy(optimizer.state_dict())
    by_parameter = states["state"]
    assert isinstance(by_parameter, dict)
    for state in by_parameter.values():
        for name, value in state.items():
            if name not in _KEPT_IN_FP32 and isinstance(value, torch.Tensor) and value.dtype is torch.float32:
                state[name] = value.half()
    return states
