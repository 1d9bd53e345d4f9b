"""Nodes that compute nothing new: without effect, the same as another, or of constants alone.

After `EliminateIdentity`, `EliminateDropout`, `NoopElimination`, `CommonSubexpressionElimination` and `ConstantFolding` (onnxruntime/core/optimizer).
"""

from __future__ import annotations

from collections.abc import Hashable

from vramcast.backends.onnxruntime.optimizer.patterns import nodes_of
from vramcast.backends.onnxruntime.session_graph import GraphEditor
from vramcast.operator_graph import GraphNode, OperatorGraph

_RANDOM = frozenset({"RandomUniform", "RandomNormal", "RandomUniformLike", "RandomNormalLike", "Multinomial", "Bernoulli"})
_QUANTIZATION = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Not folded, so that the kernels for quantized types can be chosen later."""


def drop_without_effect(editor: GraphEditor) -> None:
    """Remove identities, dropouts, casts to the same type, and transposes that change nothing."""
    for index, node in nodes_of(editor, "Identity", "Dropout", "Cast", "Transpose"):
        source, target = node.inputs[0], node.outputs[0]
        if source and _has_no_effect(editor, node, source, target):
            editor.bypass(index, source)


def merge_equal(editor: GraphEditor) -> None:
    """Compute once what is computed twice."""
    known: dict[Hashable, tuple[str, ...]] = {}
    for index in sorted(editor.nodes):
        node = editor.nodes[index]
        if node.operator in _RANDOM or any(isinstance(value, OperatorGraph) for value in node.attributes.values()):
            continue
        key = (
            node.domain,
            node.operator,
            node.inputs,
            len(node.outputs),
            tuple(sorted((name, repr(value)) for name, value in node.attributes.items())),
        )
        earlier = known.setdefault(key, node.outputs)
        if earlier is not node.outputs and len(node.outputs) == 1:
            editor.bypass(index, earlier[0])


def fold_constants(editor: GraphEditor) -> None:
    """Turn what follows from constants alone, or from shapes, into constants."""
    for index in sorted(editor.nodes):
        node = editor.nodes[index]
        if _is_constant(editor, node) and not any(name in editor.outputs for name in node.outputs):
            editor.remove(index)
            editor.initializers.update(name for name in node.outputs if name)


def _has_no_effect(editor: GraphEditor, node: GraphNode, source: str, target: str) -> bool:
    if node.operator == "Cast":
        return editor.tensors[source].dtype == editor.tensors[target].dtype
    if node.operator == "Transpose":
        order = node.attributes.get("perm")
        return isinstance(order, tuple) and list(order) == sorted(order)
    return node.operator == "Identity" or not any(editor.consumers(name) for name in node.outputs[1:])


def _is_constant(editor: GraphEditor, node: GraphNode) -> bool:
    if node.operator in _RANDOM | _QUANTIZATION or any(isinstance(value, OperatorGraph) for value in node.attributes.values()):
        return False
    return node.operator in ("Shape", "Size") or all(editor.is_constant(name) for name in node.inputs if name)
