"""An onnx-ir model whose shapes are known, as an `OperatorGraph`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import onnx_ir as ir

from vramcast.onnx_graph.element_types import type_name
from vramcast.onnx_graph.module_paths import module_paths
from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph
from vramcast.trace import Caveat

LARGEST_VALUES = 1024
"""Elements of a constant whose values are kept."""
_INDICES = frozenset({"int64", "int32", "bool", "string"})
"""Types of constants that hold shapes, axes and indices rather than weights."""


def operator_graph(model: ir.Model, caveats: Iterable[Caveat] = ()) -> OperatorGraph:
    """Convert the main graph; a tensor whose shape is not known has no elements, and a caveat says which operator makes it."""
    graph = model.graph
    converted = _Conversion()
    opset = int(model.opset_imports.get("", 0) or 0)
    return converted.graph(graph, opset, tuple(caveats))


class _Conversion:
    """One conversion: what was seen on the way."""

    def __init__(self) -> None:
        self._unknown: dict[str, int] = {}

    def graph(self, graph: ir.Graph, opset: int, caveats: tuple[Caveat, ...] = ()) -> OperatorGraph:
        nodes = tuple(self._node(node, index, module, opset) for index, (node, module) in enumerate(zip(graph, module_paths(graph))))
        constants = {_name(value): value for value in graph.initializers.values() if not value.is_graph_input()}
        tensors = {tensor.name: tensor for tensor in self._tensors(graph)}
        weights = (tensors[name] for name in constants if tensors[name].shape and tensors[name].dtype not in _INDICES)
        return OperatorGraph(
            name=graph.name or "", nodes=nodes, tensors=tensors,
            inputs=tuple(map(_name, graph.inputs)), outputs=tuple(map(_name, graph.outputs)), initializers=frozenset(constants), opset=opset,
            parameters=sum(tensor.elements for tensor in weights), values=dict(_values(constants)), caveats=(*caveats, *self._caveats()),
        )  # fmt: skip

    def _node(self, node: ir.Node, index: int, module: str, opset: int) -> GraphNode:
        return GraphNode(
            name=node.name or f"{node.op_type}_{index}", operator=node.op_type, domain=node.domain or "",
            inputs=tuple(_name(value) if value is not None else "" for value in node.inputs),
            outputs=tuple(map(_name, node.outputs)),
            attributes={name: self._attribute(attribute, opset) for name, attribute in node.attributes.items()},
            module=module,
        )  # fmt: skip

    def _attribute(self, attribute: Any, opset: int) -> object:
        """Return an attribute's value as plain data."""
        kinds, value = ir.AttributeType, attribute.value
        if attribute.type == kinds.GRAPH:
            return self.graph(value, opset)
        if attribute.type == kinds.GRAPHS:
            return tuple(self.graph(part, opset) for part in value)
        if attribute.type == kinds.TENSOR:
            return _tensor_attribute(attribute.name, value)
        if attribute.type in (kinds.FLOATS, kinds.INTS, kinds.STRINGS):
            return tuple(value)
        return value if attribute.type in (kinds.FLOAT, kinds.INT, kinds.STRING) else str(value)

    def _tensors(self, graph: ir.Graph) -> Iterator[GraphTensor]:
        for value in (*graph.inputs, *graph.initializers.values()):
            yield self._tensor(value, "an input")
        for node in graph:
            for value in node.outputs:
                yield self._tensor(value, f"{node.domain}::{node.op_type}" if node.domain else node.op_type)

    def _tensor(self, value: ir.Value, maker: str) -> GraphTensor:
        held = value.const_value if value.is_initializer() else None
        shape = held.shape if held is not None else value.shape
        dtype = held.dtype if held is not None else value.dtype
        sides = tuple(shape) if shape is not None else None
        if not value.name:  # an optional output that nobody asked for
            return GraphTensor("", (0,), "float32")
        if dtype is None or sides is None or not all(isinstance(side, int) for side in sides):
            self._unknown[maker] = self._unknown.get(maker, 0) + 1
            return GraphTensor(value.name, (0,), type_name(dtype))
        return GraphTensor(value.name, tuple(int(side) for side in sides if isinstance(side, int)), type_name(dtype))

    def _caveats(self) -> Iterator[Caveat]:
        found, self._unknown = self._unknown, {}
        for maker, count in found.items():
            yield Caveat(f"The shape of {count} tensor{'s' if count > 1 else ''} made by {maker} is not known; they were counted as empty.")


def _name(value: ir.Value) -> str:
    return value.name or ""


def _values(constants: Mapping[str, ir.Value]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield the values of small integer constants."""
    for name, value in constants.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype in (ir.DataType.INT64, ir.DataType.INT32, ir.DataType.BOOL) and tensor.size <= LARGEST_VALUES:
            yield name, tuple(int(number) for number in tensor.numpy().ravel())


def _tensor_attribute(name: str, tensor: Any) -> object:
    """Return the numbers of a small tensor; of a large one, or one of strings, shape and type alone."""
    if tensor.dtype != ir.DataType.STRING and tensor.size <= LARGEST_VALUES:
        return tuple(tensor.numpy().ravel().tolist())
    return GraphTensor(name, tuple(int(side) for side in tensor.shape), type_name(tensor.dtype))
