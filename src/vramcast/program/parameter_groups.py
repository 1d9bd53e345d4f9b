"""Parameter groups, as trainers make them. A foreach optimizer works group by group, so its temporaries are a group's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from vramcast.workload import Workload

Group = dict[str, Any]
_NORMALIZATIONS = tuple(kind for name, kind in vars(nn).items() if "Norm" in name)
"""As ultralytics tells them (8.4, engine/trainer.py, `build_optimizer`)."""


def parameters_to_train(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that require a gradient, in the module's order."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def parameter_groups(module: nn.Module, workload: Workload) -> list[Group]:
    """Return the groups an optimizer is made of; groups without parameters are left out.

    The first group takes the workload's weight decay (the optimizer's default where it states none), as does every group
    that does not set its own.
    """
    if workload.optimizer == "musgd":
        groups = _muon_and_sgd(module, workload.weight_decay or 0.0)
    elif workload.habits.parameter_groups == "no-decay-1d":
        groups = _without_decay_in_one_dimension(module)
    elif workload.habits.parameter_groups == "weight-norm-bias":
        groups = _weights_norms_biases(module)
    else:
        groups = [{"params": parameters_to_train(module)}]
    return [group for group in groups if group["params"]]


def _without_decay_in_one_dimension(module: nn.Module) -> list[Group]:
    """Biases and parameters of one dimension first, without decay, then the rest (timm 1.0, optim/_param_groups.py).

    Names that a model lists in its `no_weight_decay()` join the first group.
    """
    lists = getattr(module, "no_weight_decay", None)
    listed: set[str] = set(lists()) if callable(lists) else set()
    spared: list[nn.Parameter] = []
    decayed: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            (spared if parameter.ndim <= 1 or name.endswith(".bias") or name in listed else decayed).append(parameter)
    return [{"params": spared, "weight_decay": 0.0}, {"params": decayed}]


def _weights_norms_biases(module: nn.Module) -> list[Group]:
    """Weights with decay, weights of normalizations, biases (ultralytics 8.4, engine/trainer.py, `build_optimizer`)."""
    kinds: dict[str, list[nn.Parameter]] = {"weight": [], "norm": [], "bias": []}
    for name, owner, parameter in _owned(module):
        kinds[_kind(name, owner)].append(parameter)
    return [{"params": kinds["weight"]}, {"params": kinds["norm"], "weight_decay": 0.0}, {"params": kinds["bias"], "weight_decay": 0.0}]


def _muon_and_sgd(module: nn.Module, weight_decay: float) -> list[Group]:
    """The eight groups of MuSGD: matrices and filters, stepped by Muon and SGD, apart from the three kinds that SGD steps alone.

    Each is split in two, the classification branch of the head learning three times as fast
    (ultralytics 8.4, engine/trainer.py, `build_optimizer`).
    """
    fast = {id(parameter) for branch in _classification_branches(module) for parameter in branch.parameters()}
    kinds: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, owner, parameter in _owned(module):
        kind = "muon" if parameter.ndim in (2, 4) else _kind(name, owner)
        kinds.setdefault((kind, id(parameter) in fast), []).append(parameter)
    decay = {"weight": weight_decay, "muon": weight_decay}
    return [
        {"params": kinds.get((kind, is_fast), []), "weight_decay": decay.get(kind, 0.0), "use_muon": kind == "muon"}
        for kind in ("weight", "norm", "bias", "muon")
        for is_fast in (True, False)
    ]


def _classification_branches(module: nn.Module) -> Iterator[nn.Module]:
    layers = getattr(module, "model", None)
    if isinstance(layers, nn.Sequential) and len(layers):
        for name in ("cv3", "one2one_cv3"):
            branch = getattr(layers[-1], name, None)
            if isinstance(branch, nn.Module):
                yield branch


def _kind(name: str, owner: nn.Module) -> str:
    if "bias" in name:
        return "bias"
    return "norm" if isinstance(owner, _NORMALIZATIONS) or "logit_scale" in name else "weight"


def _owned(module: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """List each trained parameter once, with its full name and the module it lies in."""
    seen: set[int] = set()
    for prefix, owner in module.named_modules():
        for name, parameter in owner.named_parameters(prefix=prefix, recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield name, owner, parameter
