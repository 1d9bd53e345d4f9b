"""From onnx-ir's model to an `OperatorGraph`: every shape must be known by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from vramcast.errors import ModelError
from vramcast.operator_graph import GraphNode, GraphTensor, OperatorGraph
from vramcast.trace import Caveat

if TYPE_CHECKING:
    import onnx_ir

_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64"}
"""onnx-ir's names of types that are not NumPy's in capitals."""
LARGEST_VALUE = 64
"""Numbers of an integer constant up to which its values are kept: shapes, axes, sizes."""


def graph_of_ir(
    model: onnx_ir.Model, name: str, *, weights: Collection[str] = (), module_of: Callable[[onnx_ir.Node], str] = lambda node: "",
    caveats: tuple[Caveat, ...] = (),
) -> OperatorGraph:  # fmt: skip
    """Return the main graph of a model, whose functions are inlined.

    `weights` names inputs that stand for initializers whose values nobody has; `module_of` says which module a node was exported from.

    Raises:
        ModelError: a tensor's shape or type is not known.
    """
    graph = model.graph
    used = {value.name for node in graph for value in node.inputs if value is not None} | {value.name for value in graph.outputs}
    tensors: dict[str, GraphTensor] = {}
    for value in [*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)]:
        if value.name:
            tensors[value.name] = _tensor(value)
    initializers = {str(initializer) for initializer in graph.initializers} | (set(weights) & used)
    return OperatorGraph(
        name=name,
        nodes=tuple(_node(node, module_of(node)) for node in graph),
        tensors={name: tensor for name, tensor in tensors.items() if name in used or name not in weights},
        inputs=tuple(str(value.name) for value in graph.inputs if value.name not in initializers and value.name in used),
        outputs=tuple(str(value.name) for value in graph.outputs),
        initializers=frozenset(initializers),
        opset=int(model.opset_imports.get("", 0)),
        parameters=sum(tensors[name].elements for name in initializers if _is_weight(tensors[name])),
        values=_values(graph),
        caveats=caveats,
    )


def _tensor(value: onnx_ir.Value) -> GraphTensor:
    shape, dtype = value.shape, value.dtype
    if shape is None or dtype is None or not all(isinstance(side, int) for side in shape):
        raise ModelError(f"the shape of tensor {value.name!r} is not known ({shape}); static runtimes need every dimension bound.")
    return GraphTensor(str(value.name), tuple(int(side) for side in shape), _DTYPES.get(dtype.name, dtype.name.lower()))


def _node(node: onnx_ir.Node, module: str) -> GraphNode:
    return GraphNode(
        name=node.name or "",
        operator=node.op_type,
        inputs=tuple("" if value is None else str(value.name) for value in node.inputs),
        outputs=tuple(str(value.name or "") for value in node.outputs),
        domain=node.domain,
        attributes={key: _attribute(attribute) for key, attribute in node.attributes.items()},
        module=module,
    )


def _attribute(attribute: Any) -> object:
    value = attribute.value
    if isinstance(value, (list, tuple)):
        return tuple(value)
    return value if isinstance(value, (int, float, str, bytes)) else type(value).__name__


def _is_weight(tensor: GraphTensor) -> bool:
    return not tensor.dtype.startswith(("int", "uint", "bool")) or tensor.dtype in ("int8", "uint8", "int4", "uint4")


def _values(graph: onnx_ir.Graph) -> Mapping[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if tensor is not None and tensor.dtype.name in ("INT64", "INT32") and math.prod(tensor.shape.numpy() or (1,)) <= LARGEST_VALUE:
            found[str(name)] = tuple(int(number) for number in tensor.numpy().flatten())
    return found
