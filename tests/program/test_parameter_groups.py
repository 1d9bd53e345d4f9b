"""Parameter groups as timm and ultralytics make them, compared with theirs where they are installed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from vramcast.program.optimizer import make_optimizer
from vramcast.program.parameter_groups import parameter_groups, parameters_to_train
from vramcast.sources.torchvision_import import prepare_import
from vramcast.workload import Habits, Workload


class Small(nn.Module):
    """Every kind of parameter the groups tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.linear = nn.Linear(8, 4)
        self.scale = nn.Parameter(torch.ones(4))
        self.position = nn.Parameter(torch.ones(1, 4, 8))

    def no_weight_decay(self) -> set[str]:
        return {"position"}


def named(module: nn.Module, groups: list[dict[str, object]]) -> list[set[str]]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return [{names[id(parameter)] for parameter in group["params"]} for group in groups]


def workload(groups: str, **fields: object) -> Workload:
    return Workload.train(habits=Habits(parameter_groups=groups), **fields)


def test_a_plain_loop_has_one_group() -> None:
    module = Small()
    (group,) = parameter_groups(module, workload("single"))
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in module.parameters()]
    assert "weight_decay" not in group


def test_biases_and_vectors_are_spared_decay() -> None:
    module = Small()
    spared, decayed = parameter_groups(module, workload("no-decay-1d"))
    assert named(module, [spared, decayed]) == [
        {"conv.bias", "norm.weight", "norm.bias", "linear.bias", "scale", "position"},
        {"conv.weight", "linear.weight"},
    ]
    assert spared["weight_decay"] == 0


def test_three_groups_of_weights_norms_and_biases() -> None:
    module = Small()
    groups = parameter_groups(module, workload("weight-norm-bias"))
    assert named(module, groups) == [
        {"conv.weight", "linear.weight", "scale", "position"},
        {"norm.weight"},
        {"conv.bias", "norm.bias", "linear.bias"},
    ]
    assert [group.get("weight_decay") for group in groups] == [None, 0.0, 0.0]


def test_what_is_frozen_is_in_no_group_and_empty_groups_are_left_out() -> None:
    module = Small()
    module.norm.weight.requires_grad_(False)
    for groups in ("single", "no-decay-1d", "weight-norm-bias"):
        made = parameter_groups(module, workload(groups))
        assert all(made_group["params"] for made_group in made)
        assert sum(len(group["params"]) for group in made) == len(parameters_to_train(module)) == 7
    assert len(parameter_groups(module, workload("weight-norm-bias"))) == 2


@pytest.mark.parametrize("optimizer", ["momentum", "adamw", "rprop", "muon", "lion", "adam8bit", "adafactor"])
@pytest.mark.parametrize("groups", ["single", "no-decay-1d", "weight-norm-bias"])
def test_every_grouping_makes_an_optimizer_that_steps(optimizer: str, groups: str) -> None:
    module = Small()
    asked = workload(groups, optimizer=optimizer, weight_decay=0.01)
    made = make_optimizer(parameter_groups(module, asked), asked)
    for parameter in module.parameters():
        parameter.grad = torch.ones_like(parameter)
    made.step()
    assert set(map(id, made.state)) == set(map(id, module.parameters()))


def test_decay_reaches_the_decayed_group_only() -> None:
    module = Small()
    asked = workload("no-decay-1d", optimizer="adamw", weight_decay=0.3)
    assert [group["weight_decay"] for group in make_optimizer(parameter_groups(module, asked), asked).param_groups] == [0.0, 0.3]


def test_groups_are_those_timm_makes() -> None:
    prepare_import()
    from timm.optim import param_groups_weight_decay

    module = Small()
    ours = named(module, parameter_groups(module, workload("no-decay-1d")))
    assert ours == named(module, param_groups_weight_decay(module, 0.1, no_weight_decay_list=module.no_weight_decay()))


@pytest.mark.parametrize(("optimizer", "theirs"), [("musgd", "MuSGD"), ("nesterov", "SGD"), ("adamw", "AdamW")])
def test_groups_are_those_ultralytics_makes(optimizer: str, theirs: str) -> None:
    prepare_import()
    from ultralytics.engine.trainer import BaseTrainer

    module = nn.Module()
    module.model = nn.Sequential(Small(), nn.Conv2d(3, 3, 1))
    module.model[-1].cv3 = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    trainer = SimpleNamespace(args=SimpleNamespace(lr0=0.01, warmup_bias_lr=0.1), data={"nc": 80})
    made = BaseTrainer.build_optimizer(trainer, module, name=theirs, decay=0.0005)
    asked = workload("weight-norm-bias", optimizer=optimizer, weight_decay=0.0005)
    ours = make_optimizer(parameter_groups(module, asked), asked)

    def described(optimizer: torch.optim.Optimizer) -> list[tuple[frozenset[str], float, bool]]:
        groups = [group for group in optimizer.param_groups if group["params"]]
        return sorted(
            ((frozenset(names), group["weight_decay"], group.get("use_muon", False)) for names, group in zip(named(module, groups), groups)), key=str
        )

    assert described(ours) == described(made)
