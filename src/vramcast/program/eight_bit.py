"""8-bit optimizers: states quantised block by block, updated by one kernel per tensor.

Layout: bitsandbytes 0.50, optim/optimizer.py and functional.py. A tensor of at least 4,096 elements keeps, per state,
one byte per element and one fp32 maximum per block of 256; smaller ones keep fp32 states. Two tables of 256 fp32 values
serve all tensors. The update kernel works in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

MIN_8BIT_SIZE = 4096
BLOCK = 256


class EightBit(torch.optim.Optimizer):
    """An optimizer whose `states` are held in 8 bits."""

    states: tuple[str, ...]

    def __init__(self, params: Iterable[Any], lr: float = 1e-3, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self._maps: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Make the states of parameters met for the first time; the update itself moves no memory."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and not self.state[parameter]:
                    self.make_states(parameter)

    def make_states(self, parameter: torch.Tensor) -> None:
        """Make the states of a parameter that has none."""
        state = self.state[parameter]
        if parameter.numel() < MIN_8BIT_SIZE:
            state |= {name: torch.zeros_like(parameter, dtype=torch.float32) for name in self.states}
            return
        for name in self.states:
            if name not in self._maps:
                self._maps[name] = torch.zeros(256, device=parameter.device)
            state[name] = torch.zeros_like(parameter, dtype=torch.uint8)
            state[f"qmap_{name}"] = self._maps[name]
            state[f"absmax_{name}"] = torch.zeros(-(-parameter.numel() // BLOCK), device=parameter.device)


class Adam8bit(EightBit):
    """Adam and AdamW: two states."""

    states = ("exp_avg", "exp_avg_sq")


class Lion8bit(EightBit):
    """Lion: one state."""

    states = ("exp_avg",)
