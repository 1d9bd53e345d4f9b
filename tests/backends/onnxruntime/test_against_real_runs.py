"""The planner and the rewritings, held against sessions that the installed ONNX Runtime runs on the CPU."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from real_session import graph_of_file, optimized, order_of_run, pattern_of_plan, pattern_of_run
from torch import nn

from vramcast.backends.onnxruntime.execution_order import ExecutionOrder, execution_order
from vramcast.backends.onnxruntime.optimizer.levels import optimize
from vramcast.onnxruntime_options import OptimizationLevel

ORDERS: tuple[ExecutionOrder, ...] = ("DEFAULT", "PRIORITY_BASED")
LEVELS: dict[OptimizationLevel, str] = {"basic": "ORT_ENABLE_BASIC", "extended": "ORT_ENABLE_EXTENDED"}


@pytest.mark.parametrize("order", ORDERS)
def test_nodes_run_in_the_same_order(exported: Path, order: ExecutionOrder) -> None:
    graph = graph_of_file(exported)

    assert [graph.nodes[index].name for index in execution_order(graph, order)] == order_of_run(exported, order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("level", ["ORT_DISABLE_ALL", "ORT_ENABLE_EXTENDED"])
def test_the_memory_pattern_has_the_same_size(exported: Path, level: str, order: ExecutionOrder) -> None:
    file = exported if level == "ORT_DISABLE_ALL" else optimized(exported, level)

    assert pattern_of_plan(graph_of_file(file), order) == pattern_of_run(file, order)


@pytest.mark.parametrize("level", LEVELS)
def test_rewriting_leaves_the_same_operators(exported: Path, level: OptimizationLevel) -> None:
    real = Counter(node.operator for node in graph_of_file(optimized(exported, LEVELS[level])).nodes)
    made = Counter(node.operator for node in optimize(graph_of_file(exported), level).nodes)

    added = real["Add"] - made["Add"]  # CUDA's FusedConv takes in additions before activations; the CPU's does so at the level "all".
    if level == "extended" and "resnet" in exported.name:
        assert added == real["Relu"] == made["FusedConv"] - real["FusedConv"]
        for operator in ("Add", "Relu", "FusedConv", "Conv"):
            del real[operator], made[operator]
    assert made == real


class OldGelu(nn.Module):
    """GELU as GPT-2 writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 32), nn.Linear(32, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        return self.last(0.5 * x * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * torch.pow(x, 3.0)))))


def test_a_gelu_of_tanh_becomes_one_node(tmp_path: Path) -> None:
    path = tmp_path / "gelu.onnx"
    torch.onnx.export(OldGelu().eval(), (torch.zeros(2, 3, 8),), str(path), dynamo=True, verbose=False)
    plain = optimized(path, "ORT_DISABLE_ALL")
    made = Counter(node.operator for node in optimize(graph_of_file(plain), "extended").nodes)
    assert made == Counter(node.operator for node in graph_of_file(optimized(plain, "ORT_ENABLE_EXTENDED")).nodes)
    assert made["FastGelu"] == 1
