"""Graphs written down by hand, operator by operator."""

from __future__ import annotations

from typing import Any

from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph


class GraphBuilder:
    """Adds operators in order; each returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[GraphNode] = []
        self._tensors: dict[str, GraphTensor] = {}
        self._inputs: list[str] = []
        self._constants: list[str] = []

    def input(self, *shape: int, dtype: str = "float32") -> str:
        """Add an input of the graph."""
        name = self._tensor(f"input{len(self._inputs)}", shape, dtype)
        self._inputs.append(name)
        return name

    def constant(self, *shape: int, dtype: str = "float32") -> str:
        """Add a weight."""
        name = self._tensor(f"constant{len(self._constants)}", shape, dtype)
        self._constants.append(name)
        return name

    def node(self, operator: str, inputs: tuple[str, ...], *shape: int, dtype: str = "float32", outputs: int = 1, **attributes: Any) -> Any:
        """Add an operator whose outputs have this shape; returns their names, or the one."""
        index = len(self._nodes)
        names = tuple(self._tensor(f"{operator}{index}_{part}", shape, dtype) for part in range(outputs))
        self._nodes.append(GraphNode(f"{operator}{index}", operator, inputs, names, attributes=attributes, module=f"m.{index}"))
        return names[0] if outputs == 1 else names

    def convolution(self, x: str, channels: int, *, kernel: int = 3, stride: int = 1, bias: bool = True, groups: int = 1) -> str:
        """Add a padded convolution."""
        batch, before, height, width = self._tensors[x].shape
        weight = self.constant(channels, before // groups, kernel, kernel)
        inputs = (x, weight, self.constant(channels)) if bias else (x, weight)
        pads = (kernel // 2,) * 4
        shape = (batch, channels, height // stride, width // stride)
        return str(self.node("Conv", inputs, *shape, kernel_shape=(kernel, kernel), strides=(stride, stride), pads=pads, group=groups))

    def like(self, operator: str, *inputs: str) -> str:
        """Add an operator whose output is like its first input."""
        tensor = self._tensors[inputs[0]]
        return str(self.node(operator, inputs, *tensor.shape, dtype=tensor.dtype))

    def silu(self, x: str) -> str:
        """Add a SiLU, as exporters write it."""
        return self.like("Mul", x, self.like("Sigmoid", x))

    def batch_norm(self, x: str) -> str:
        """Add batch normalization."""
        channels = self._tensors[x].shape[1]
        return self.like("BatchNormalization", x, *(self.constant(channels) for _ in range(4)))

    def build(self, *outputs: str) -> OperatorGraph:
        """Return the graph."""
        return OperatorGraph("hand-made", tuple(self._nodes), dict(self._tensors), tuple(self._inputs), outputs, frozenset(self._constants), opset=17)

    def _tensor(self, name: str, shape: tuple[int, ...], dtype: str) -> str:
        self._tensors[name] = GraphTensor(name, shape, dtype)
        return name


def mnist() -> OperatorGraph:
    """The network of the sample `sampleOnnxMNIST` (onnx/models, mnist-7): two convolutions, two pools, one matrix product."""
    builder = GraphBuilder()
    x = builder.input(1, 1, 28, 28)
    for channels, kernel, side in ((8, 2, 14), (16, 3, 4)):
        x = builder.convolution(x, channels, kernel=5, bias=False)
        shifted = builder.like("Add", x, builder.constant(channels, 1, 1))
        x = builder.node("MaxPool", (builder.like("Relu", shifted),), 1, channels, side, side, kernel_shape=(kernel, kernel))
    flat = builder.node("Reshape", (x, builder.constant(2, dtype="int64")), 1, 256)
    product = builder.node("MatMul", (flat, builder.constant(256, 10)), 1, 10)
    return builder.build(builder.like("Add", product, builder.constant(1, 10)))
