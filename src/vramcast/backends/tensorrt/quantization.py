"""Quantize and dequantize layers of a graph that states its own scales (developer guide, "Explicit quantization").

A dequantize layer moves into what reads it, which reads 8-bit values then; a quantize layer becomes part of what makes its input, where nothing
else reads that, and is a kernel of its own elsewhere (catalog, "Q/DQ fusions").
"""

from __future__ import annotations

from collections.abc import Sequence

from vramcast.backends.tensorrt.layers import Kind, Layer, joined, producers, readers
from vramcast.operator_graph import OperatorGraph

_MAKERS = frozenset({Kind.CONVOLUTION, Kind.MATRIX_PRODUCT, Kind.POINTWISE, Kind.OTHER, Kind.NORMALIZATION, Kind.SOFTMAX, Kind.ATTENTION})


def fuse_quantization(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Join each quantize layer with what makes its input."""
    made, read = producers(layers), readers(layers)
    makers: dict[int, Layer] = {}
    for layer in layers:
        if layer.kind is not Kind.QUANTIZE or not layer.inputs:
            continue
        maker = made.get(layer.inputs[0])
        if maker is None or maker.kind not in _MAKERS or len(maker.outputs) > 1:
            continue
        if len(read[layer.inputs[0]]) == 1 and layer.inputs[0] not in graph.outputs:
            makers[id(layer)] = maker
    gone = {id(maker) for maker in makers.values()}
    return tuple(
        joined((makers[id(layer)], layer), makers[id(layer)].kind, makers[id(layer)].module) if id(layer) in makers else layer
        for layer in layers
        if id(layer) not in gone
    )  # fmt: skip
