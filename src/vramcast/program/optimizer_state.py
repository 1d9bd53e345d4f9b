"""Optimizer states as a checkpoint brings them back, before any step was made.

Names and shapes are those of the classes' own first step: torch 2.13, `torch/optim/*.py`, `_init_group`; ultralytics 8.4,
`optim/muon.py`. Each tensor is one allocation on the card, whether it comes from the host or lies there already:
`Optimizer.load_state_dict` casts and moves tensor by tensor, and keeps what needs neither.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vramcast.program.eight_bit import EightBit
from vramcast.program.optimizer import MatrixAndRest

Group = dict[str, Any]
State = Callable[[Tensor, Group], Tensor]


def restore_states(optimizer: torch.optim.Optimizer) -> None:
    """Give every parameter the states its optimizer would have after a step; those that exist stay."""
    if isinstance(optimizer, MatrixAndRest):
        for part in optimizer.parts:
            restore_states(part)
            optimizer.state.update(part.state)
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if not optimizer.state[parameter]:
                _restore(optimizer, parameter, group)


def _restore(optimizer: torch.optim.Optimizer, parameter: Tensor, group: Group) -> None:
    if isinstance(optimizer, EightBit):
        optimizer.make_states(parameter)
        return
    for name, state in _states_of(type(optimizer).__name__, parameter, group).items():
        optimizer.state[parameter][name] = state(parameter, group)


def _like(parameter: Tensor, group: Group) -> Tensor:
    return torch.zeros_like(parameter)


def _step(parameter: Tensor, group: Group) -> Tensor:
    """A counter: on the host, or on the card where the kernel reads it."""
    return torch.zeros((), device=parameter.device if group.get("fused") else "cpu")


def _host_scalar(parameter: Tensor, group: Group) -> Tensor:
    return torch.ones(())


def _card_scalar(parameter: Tensor, group: Group) -> Tensor:
    return torch.ones((), device=parameter.device)


def _row(parameter: Tensor, group: Group) -> Tensor:
    return parameter.new_zeros((*parameter.shape[:-1], 1))


def _column(parameter: Tensor, group: Group) -> Tensor:
    return parameter.new_zeros((*parameter.shape[:-2], 1, parameter.shape[-1]))


_STATES: dict[str, dict[str, State]] = {
    "Adam": {"step": _step, "exp_avg": _like, "exp_avg_sq": _like},
    "AdamW": {"step": _step, "exp_avg": _like, "exp_avg_sq": _like},
    "NAdam": {"step": _step, "mu_product": _host_scalar, "exp_avg": _like, "exp_avg_sq": _like},
    "RAdam": {"step": _step, "exp_avg": _like, "exp_avg_sq": _like},
    "Adamax": {"step": _step, "exp_avg": _like, "exp_inf": _like},
    "Adadelta": {"step": _step, "square_avg": _like, "acc_delta": _like},
    "RMSprop": {"step": _step, "square_avg": _like},
    "Rprop": {"step": _step, "prev": _like, "step_size": _like},
    "ASGD": {"step": _card_scalar, "eta": _card_scalar, "mu": _card_scalar, "ax": _like},
    "Lion": {"exp_avg": _like},
    "Muon": {"momentum_buffer": _like},
}
"""Class -> its states; classes whose states depend on the parameter or its group are in `_states_of`."""


def _states_of(optimizer: str, parameter: Tensor, group: Group) -> dict[str, State]:
    if optimizer == "SGD":
        return {"momentum_buffer": _like} if group["momentum"] else {}
    if optimizer == "MuSGD":
        return {"momentum_buffer": _like, "momentum_buffer_SGD": _like} if group["use_muon"] else {"momentum_buffer": _like}
    if optimizer == "Adafactor":
        return {"step": _step, "row_var": _row, "col_var": _column} if parameter.dim() > 1 else {"step": _step, "variance": _like}
    return _STATES[optimizer]
