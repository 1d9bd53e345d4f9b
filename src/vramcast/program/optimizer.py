"""Optimizers by the names a workload uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from vramcast.errors import MissingExtraError
from vramcast.program.eight_bit import Adam8bit, Lion8bit
from vramcast.program.lion import Lion
from vramcast.program.parameter_groups import Group
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
_WITHOUT_DECAY = {"rprop"}
"""torch 2.13, `torch/optim/rprop.py`: no `weight_decay=`."""


def make_optimizer(groups: Sequence[Group], workload: Workload) -> torch.optim.Optimizer:
    """Return the optimizer a workload names, over parameter groups.

    The loop over tensors is torch's default on CUDA (`foreach` where there is one; torch/optim/optimizer.py
    `_default_to_fused_or_foreach`, 2.13) unless the workload says otherwise.

    Raises:
        MissingExtraError: MuSGD without ultralytics.
    """
    options: dict[str, Any] = {}
    if workload.weight_decay is not None and workload.optimizer not in _WITHOUT_DECAY:
        options["weight_decay"] = workload.weight_decay
    if workload.optimizer in _WITHOUT_DECAY:
        groups = [{"params": group["params"]} for group in groups]
    if workload.optimizer in _OWN:
        return _OWN[workload.optimizer](groups, **options)
    if workload.optimizer == "muon":
        return MatrixAndRest(groups, options)
    if workload.optimizer == "musgd":
        return _musgd(groups)
    name, distinct = _TORCH[workload.optimizer]
    return getattr(torch.optim, name)(groups, **distinct, **options, **_loop(workload))  # type: ignore[no-any-return]


def _loop(workload: Workload) -> dict[str, bool]:
    return {"default": {"foreach": True}, "foreach": {"foreach": True}, "fused": {"fused": True}, "for-loop": {"foreach": False}}[
        workload.optimizer_loop
    ]


def _musgd(groups: Sequence[Group]) -> torch.optim.Optimizer:
    """Ultralytics' own class, with the options its trainer gives (8.4, engine/trainer.py, `build_optimizer`)."""
    try:
        from ultralytics.optim import MuSGD
    except ImportError:
        raise MissingExtraError("ultralytics", "zoo", "the optimizer 'musgd'") from None
    optimizer: torch.optim.Optimizer = MuSGD(groups, lr=0.01, momentum=0.9, nesterov=True, muon=0.2, sgd=1.0)
    return optimizer


class MatrixAndRest(torch.optim.Optimizer):
    """Muon for two-dimensional parameters, AdamW for all others, stepped together.

    Muon takes matrices only; the rest goes to AdamW, as its authors advise (torch/optim/_muon.py, 2.13).
    """

    def __init__(self, groups: Sequence[Group], options: dict[str, Any]) -> None:
        matrices = list(_some(groups, lambda parameter: parameter.dim() == 2))
        rest = list(_some(groups, lambda parameter: parameter.dim() != 2))
        self.parts: list[torch.optim.Optimizer] = [torch.optim.Muon(matrices, **options)] if matrices else []
        if rest:
            self.parts.append(torch.optim.AdamW(rest, foreach=True, **options))
        super().__init__([{"params": list(group["params"])} for group in groups], {})

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step both parts."""
        for part in self.parts:
            part.step()
        for part in self.parts:
            self.state.update(part.state)


def _some(groups: Sequence[Group], wanted: Callable[[nn.Parameter], bool]) -> Iterable[Group]:
    for group in groups:
        parameters = [parameter for parameter in group["params"] if wanted(parameter)]
        if parameters:
            yield {**group, "params": parameters}
