"""What a graph says of its tensors."""

from __future__ import annotations

import pytest

from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph


@pytest.mark.parametrize(
    ("dtype", "shape", "size"),
    [("float32", (2, 3), 24), ("float16", (5,), 10), ("int4", (5,), 3), ("bool", (8,), 8), ("float8_e4m3fn", (), 1), ("int64", (0, 4), 0)],
)
def test_bytes_of_a_tensor(dtype: str, shape: tuple[int, ...], size: int) -> None:
    assert GraphTensor("x", shape, dtype).size == size


def test_a_tensor_lives_to_its_last_reader_and_an_output_to_the_end() -> None:
    names = ("x", "w", "h", "y", "z")
    graph = OperatorGraph(
        name="two",
        nodes=(GraphNode("a", "Conv", ("x", "w"), ("h",)), GraphNode("b", "Relu", ("h",), ("y",)), GraphNode("c", "Add", ("h", "y"), ("z",))),
        tensors={name: GraphTensor(name, (4,), "float32") for name in names},
        inputs=("x",),
        outputs=("y", "z"),
        initializers=frozenset({"w"}),
    )
    assert graph.last_reads == {"x": 0, "w": 0, "h": 2, "y": 3, "z": 3}
    assert graph.producers == {"h": 0, "y": 1, "z": 2}
    assert graph.weight_bytes == 16
