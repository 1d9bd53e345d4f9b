"""Constants that an engine holds on the card, in the precision it was built for.

Kernels of convolutions and matrix products are in the precision of the layer; biases in half for half-precision layers, in fp32 for integer ones
(layer information of engines, NVIDIA/TensorRT issue 4020: `"Weights": {"Type": "Int8"}, "Bias": {"Type": "Float"}`). Batch normalization leaves
one bias for each channel. A constant that several layers read is stored once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from vramcast.backends.tensorrt.layers import Kind, Layer, Weight
from vramcast.operator_graph import GraphTensor, OperatorGraph
from vramcast.workload import Precision

_FLOATS = frozenset({"float64", "float32", "float16", "bfloat16"})
_HALF = frozenset({"fp16", "bf16"})
_LINEAR = frozenset({Kind.CONVOLUTION, Kind.MATRIX_PRODUCT, Kind.ATTENTION})


def weights_of(graph: OperatorGraph, layers: Iterable[Layer], precision: Precision, *, is_quantized: bool) -> tuple[Weight, ...]:
    """Return the constants of an engine, in the order in which layers read them."""
    bits = 16 if precision in _HALF else 32
    found: dict[str, Weight] = {}
    for layer in layers:
        folded = _folded(layer)
        for name in layer.weights:
            size = 0 if name in folded else _size(graph, graph.tensors[name], layer, bits, is_quantized)
            if size and name not in found:
                found[name] = Weight(name, size, layer.module)
        found |= {weight.name: weight for weight in _bias_of_folded(graph, layer, folded, 32 if is_quantized else bits)}
    return tuple(found.values())


def _folded(layer: Layer) -> frozenset[str]:
    """Return what batch normalization reads that is folded into a convolution."""
    if layer.kind is not Kind.CONVOLUTION:
        return frozenset()
    return frozenset(name for node in layer.nodes if node.operator == "BatchNormalization" for name in node.inputs)


def _bias_of_folded(graph: OperatorGraph, layer: Layer, folded: Collection[str], bits: int) -> Iterable[Weight]:
    """A convolution without a bias gets one by the batch normalization that is folded into it."""
    if folded and len([name for name in layer.nodes[0].inputs if name]) < 3:
        channels = graph.tensors[layer.nodes[0].outputs[0]].shape[1]
        yield Weight(f"{layer.nodes[0].name} bias", channels * bits // 8, layer.module)


def _size(graph: OperatorGraph, tensor: GraphTensor, layer: Layer, bits: int, is_quantized: bool) -> int:
    packed = _packed(graph, tensor.name)
    if packed is not None:
        return packed
    if tensor.dtype not in _FLOATS:
        return tensor.size if layer.operators[0].startswith(("Gather", "Scatter")) and len(tensor.shape) > 1 else 0
    if tensor.dtype in ("float16", "bfloat16"):
        bits = 16
    if is_quantized and layer.kind in _LINEAR:
        bits = 8 if len(tensor.shape) > 1 else 32
    return -(-tensor.elements * bits // 8)


def _packed(graph: OperatorGraph, name: str) -> int | None:
    """Return the bytes of a constant that is dequantized while the layer runs; None: it is not."""
    maker = graph.producers.get(name)
    node = None if maker is None else graph.nodes[maker]
    return graph.tensors[node.inputs[0]].size if node is not None and node.operator == "DequantizeLinear" else None
