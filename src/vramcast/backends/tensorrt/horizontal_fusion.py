"""Convolutions of the same input and the same kind run as one that makes all their outputs (logs: `Conv_49 || Conv_66`).

Alike are kernel, strides, padding, dilation, and what was fused into them; grouped convolutions are left apart. Their outputs are parts of one
tensor, which is held until all are read.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from vramcast.backends.tensorrt.layers import Kind, Layer
from vramcast.operator_graph import OperatorGraph

_ALIKE = ("kernel_shape", "strides", "pads", "dilations", "auto_pad")


def merge_side_by_side(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Merge convolutions that differ in their weights alone."""
    groups: dict[Hashable, list[Layer]] = {}
    for layer in layers:
        if layer.kind is Kind.CONVOLUTION and layer.nodes[0].attributes.get("group", 1) == 1 and len(layer.inputs) == 1:
            groups.setdefault(_likeness(graph, layer), []).append(layer)
    merged = {id(members[0]): members for members in groups.values() if len(members) > 1}
    gone = {id(layer) for members in merged.values() for layer in members[1:]}
    return tuple(_merged(merged[id(layer)]) if id(layer) in merged else layer for layer in layers if id(layer) not in gone)


def _likeness(graph: OperatorGraph, layer: Layer) -> Hashable:
    first = layer.nodes[0]
    kernel = graph.tensors[first.inputs[1]].shape[2:] if first.inputs[1] in graph.tensors else ()
    return layer.inputs, layer.operators, kernel, tuple(str(first.attributes.get(name)) for name in _ALIKE)


def _merged(members: Sequence[Layer]) -> Layer:
    return Layer(
        kind=Kind.CONVOLUTION,
        nodes=tuple(node for layer in members for node in layer.nodes),
        inputs=members[0].inputs,
        outputs=tuple(name for layer in members for name in layer.outputs),
        weights=tuple(name for layer in members for name in layer.weights),
        module=members[0].module,
    )
