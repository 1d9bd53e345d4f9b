"""Optimizers by the names a workload uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from vramcast.program.eight_bit import Adam8bit, Lion8bit
from vramcast.program.lion import Lion
from vramcast.workload import Workload

Make = Callable[..., torch.optim.Optimizer]

_TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "rmsprop": ("RMSprop", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "radam": ("RAdam", {}),
    "asgd": ("ASGD", {}),
    "rprop": ("Rprop", {}),
    "adafactor": ("Adafactor", {}),
}
"""Workload name -> class in `torch.optim` and what distinguishes it."""
_OWN: dict[str, Make] = {"lion": Lion, "adam8bit": Adam8bit, "adamw8bit": Adam8bit, "lion8bit": Lion8bit}


def make_optimizer(groups: Iterable[Any], workload: Workload) -> torch.optim.Optimizer:
    """Return the optimizer a workload names, over parameters or parameter groups.

    The loop over tensors is torch's default on CUDA (`foreach` where there is one; torch/optim/optimizer.py
    `_default_to_fused_or_foreach`, 2.13) unless the workload says otherwise.
    """
    options: dict[str, Any] = {} if workload.weight_decay is None else {"weight_decay": workload.weight_decay}
    if workload.optimizer in _OWN:
        return _OWN[workload.optimizer](groups, **options)
    if workload.optimizer == "muon":
        return _muon(groups, options)
    name, distinct = _TORCH[workload.optimizer]
    return getattr(torch.optim, name)(groups, **distinct, **options, **_loop(workload))  # type: ignore[no-any-return]


def parameters_to_train(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require a gradient, in the module's order."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _loop(workload: Workload) -> dict[str, bool]:
    return {"default": {"foreach": True}, "foreach": {"foreach": True}, "fused": {"fused": True}, "for-loop": {"foreach": False}}[
        workload.optimizer_loop
    ]


def _muon(groups: Iterable[Any], options: dict[str, Any]) -> torch.optim.Optimizer:
    """Muon takes matrices only; the rest goes to AdamW beside it, as its authors advise (torch/optim/_muon.py, 2.13)."""
    return MatrixAndRest(list(groups), options)


class MatrixAndRest(torch.optim.Optimizer):
    """Muon for two-dimensional parameters, AdamW for all others, stepped together."""

    def __init__(self, parameters: list[nn.Parameter], options: dict[str, Any]) -> None:
        matrices = [parameter for parameter in parameters if parameter.dim() == 2]
        rest = [parameter for parameter in parameters if parameter.dim() != 2]
        self._parts: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices, **options)] if matrices else []
        if rest:
            self._parts.append(torch.optim.AdamW(rest, foreach=True, **options))
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step both parts."""
        for part in self._parts:
            part.step()
        for part in self._parts:
            self.state.update(part.state)
