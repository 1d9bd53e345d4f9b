"""One workload on several backends."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn

import vramcast
from vramcast import Workload
from vramcast.backends import registry
from vramcast.errors import UnknownNameError, UsageError
from vramcast.study.backend_reasons import reasons
from vramcast.study.backends import made_in_last_step
from vramcast.units import MIB


class Chain(nn.Module):
    """Three tensors are made for each call."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 128), nn.Linear(128, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x).relu())


WORKLOAD = Workload.infer(inputs=["x=16x64"])


def test_every_side_adds_up_to_its_process() -> None:
    found = vramcast.compare_backends("torchvision:resnet18", Workload.infer(batch=8))
    assert [side.backend for side in found.sides] == list(registry.names())
    for side in found.sides:
        assert side.error is None, side.error
        assert sum(side.components.values()) == side.peak.device_bytes
    eager = vramcast.estimate("torchvision:resnet18", Workload.infer(batch=8))
    assert found.sides[0].peak == eager.peak


def test_tensors_made_are_those_of_one_step() -> None:
    answer = vramcast.estimate(Chain, WORKLOAD)
    assert made_in_last_step(answer.trace) == (3, 16 * (128 + 128 + 32) * 4)


def test_an_unknown_backend_names_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="eager"):
        vramcast.compare_backends(Chain, WORKLOAD, backends=["eagre"])


def test_a_backend_is_named_once() -> None:
    with pytest.raises(UsageError, match="twice"):
        vramcast.compare_backends(Chain, WORKLOAD, backends=["eager", "eager"])


def test_large_differences_are_named_with_their_reason_and_small_ones_are_not() -> None:
    said = list(reasons("tensorrt", {"weights": 50 * MIB, "inputs": 1 * MIB}, {"weights": 100 * MIB, "inputs": 2 * MIB, "activations": 700 * MIB}))
    assert len(said) == 2
    assert said[0].startswith("activations 700.00 MiB less: ")
    assert said[1].startswith("weights 50.00 MiB less: the engine")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    from vramcast.cli.main import main

    assert main(["backends", "torchvision:resnet18", "--infer", "--on", "eager", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "vramcast/backends-1"
    assert document["sides"][0]["backend"] == "eager"
