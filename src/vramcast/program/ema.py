"""An exponential moving average of weights and buffers, kept as a second module in fp32.

The update is one foreach call in place, without temporaries: ultralytics' `ModelEMA` (8.4, utils/torch_utils.py,
`_foreach_lerp_`) and timm's `ModelEmaV3` (1.0, utils/model_ema.py: `_foreach_lerp_`, or a product and a sum that promote
inside the kernel where the module is in half precision).
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
        floating = {name: average for name, average in self.module.state_dict().items() if average.is_floating_point()}
        averages, values = list(floating.values()), [current[name] for name in floating]
        if all(average.dtype is value.dtype for average, value in zip(averages, values)):
            torch._foreach_lerp_(averages, values, 1 - DECAY)
        else:
            torch._foreach_mul_(averages, DECAY)
            torch._foreach_add_(averages, values, alpha=1 - DECAY)
