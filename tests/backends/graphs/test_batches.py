"""Graphs of further batches are those that an export gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vramcast.backends.graphs import graph_of
from vramcast.backends.graphs.batches import KnownBatches, at_batch
from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph
from vramcast.sources import registry
from vramcast.workload import Workload


def exported(name: str, batch: int) -> OperatorGraph:
    return graph_of(registry.find(name), Workload.infer(backend="tensorrt", batch=batch, image=64), lambda _: None)


@pytest.mark.parametrize("name", ["torchvision:squeezenet1_1", "ultralytics:yolov8n"])
def test_a_graph_told_from_two_is_the_exported_one(name: str) -> None:
    told = at_batch(exported(name, 2), exported(name, 3), (2, 3), 7)
    real = exported(name, 7)
    assert told is not None
    assert told.tensors == real.tensors
    assert (told.nodes, told.values, told.parameters) == (real.nodes, real.values, real.parameters)


def hand_made(batch: int, width: int = 4) -> OperatorGraph:
    tensors = {"x": GraphTensor("x", (batch, width), "float32"), "y": GraphTensor("y", (batch * width,), "float32")}
    return OperatorGraph("m", (GraphNode("n", "Flatten", ("x",), ("y",)),), tensors, ("x",), ("y",), frozenset())


def test_graphs_that_differ_in_more_than_the_batch_tell_nothing() -> None:
    told = at_batch(hand_made(2), hand_made(5), (2, 5), 10)
    assert told is not None
    assert {tensor.shape for tensor in told.tensors.values()} == {(10, 4), (40,)}
    assert at_batch(hand_made(2), hand_made(5, width=6), (2, 5), 10) is None
    assert at_batch(hand_made(2), replace(hand_made(5), nodes=()), (2, 5), 10) is None


def test_two_exports_are_enough() -> None:
    asked: list[int] = []
    known = KnownBatches()

    def export(batch: int) -> OperatorGraph:
        asked.append(batch)
        return hand_made(batch)

    for batch in (1, 2, 4, 8, 16, 4, 1):
        assert known.graph("a question", batch, lambda batch=batch: export(batch)).tensors == hand_made(batch).tensors  # type: ignore[misc]
    assert asked == [1, 2, 4]
    known.graph("another", 8, lambda: export(8))
    assert asked == [1, 2, 4, 8]
