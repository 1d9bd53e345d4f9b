"""Lion (Chen et al. 2023, arXiv 2302.06675): one momentum per parameter, the sign of an interpolation as the update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


class Lion(torch.optim.Optimizer):
    """A plain loop over tensors, as in the authors' PyTorch version (google/automl, lion/lion_pytorch.py)."""

    def __init__(self, params: Iterable[Any], lr: float = 1e-4, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            first, second = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                state = self.state[parameter]
                if not state:
                    state["exp_avg"] = torch.zeros_like(parameter)
                average = state["exp_avg"]
                update = average * first + parameter.grad * (1 - first)
                parameter.add_(update.sign_(), alpha=-group["lr"])
                average.mul_(second).add_(parameter.grad, alpha=1 - second)
