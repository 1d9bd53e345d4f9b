"""The planner and the rewritings, held against sessions that the installed ONNX Runtime runs on the CPU."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from real_session import graph_of_file, optimized, order_of_run, pattern_of_plan, pattern_of_run

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
