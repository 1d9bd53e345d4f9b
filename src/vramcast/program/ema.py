"""An exponential moving average of weights and buffers, kept as a second module in fp32.

The update is a loop over tensors, as in timm's `ModelEmaV3` without foreach and ultralytics' `ModelEMA`
(ultralytics 8.4, utils/torch_utils.py): `average *= d; average += (1 - d) * current`, so one tensor at a time is temporary.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

DECAY = 0.9999


class MovingAverage:
    """The averaged copy of a module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = copy.deepcopy(module).eval().float()
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards the module."""
        current = module.state_dict()
        for name, average in self.module.state_dict().items():
            if average.is_floating_point():
                average *= DECAY
                average += (1 - DECAY) * current[name].detach()
