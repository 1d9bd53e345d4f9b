"""Modules of operators in files that torch wrote, held against the modules that were exported."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from vramcast.onnx_graph.file_graph import read_graph
from vramcast.operator_graph import GraphSizes


class Block(nn.Module):
    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(4, 4, 1), activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(x + self.act(self.conv(x)))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        shared = nn.Tanh()
        self.stages = nn.Sequential(Block(shared), nn.Sequential(Block(shared), Block(nn.ReLU())))
        for block in self.modules():
            if isinstance(block, Block):
                block.forward = block.forward  # type: ignore[method-assign]  # bound, as Ultralytics does when it fuses
        self.tail = nn.ModuleList([nn.Tanh(), nn.Conv2d(4, 4, 1), nn.Sigmoid()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stages(x)
        for part in self.tail[1:]:
            x = part(x)
        return x


@pytest.mark.parametrize("is_new", [True, False], ids=["dynamo", "torchscript"])
def test_paths_in_files(is_new: bool, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the older exporter is deprecated
        torch.onnx.export(Network().eval(), (torch.zeros(1, 4, 8, 8),), str(path), dynamo=is_new, verbose=False)
    nodes = read_graph(path, GraphSizes(1)).nodes
    assert [(node.operator, node.module) for node in nodes] == [
        ("Conv", "stages.0.conv"), ("Tanh", "stages.0.act"), ("Add", "stages.0"), ("Tanh", "stages.0.act"),
        ("Conv", "stages.1.0.conv"), ("Tanh", "stages.1.0.act"), ("Add", "stages.1.0"), ("Tanh", "stages.1.0.act"),
        ("Conv", "stages.1.1.conv"), ("Relu", "stages.1.1.act"), ("Add", "stages.1.1"), ("Relu", "stages.1.1.act"),
        ("Conv", "tail.1"), ("Sigmoid", "tail.2"),
    ]  # fmt: skip
