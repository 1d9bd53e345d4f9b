"""What becomes part of a convolution or a matrix product: batch normalization, bias, residual sums and activations.

catalog: "Convolution and ReLU", "Convolution and Clip", "Convolution and elementwise sum" (not broadcast), "Scale and convolution". Other chains of
pointwise layers, such as SiLU, become part of a half-precision or integer convolution from Turing on (logs: `Conv_3 + PWN(PWN(Sigmoid_4), Mul_5)`
in fp16; apart in fp32 and TF32), with two exceptions seen in every such log: the network's first convolution, and convolutions merged side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vramcast.backends.tensorrt.layers import Kind, Layer, joined, readers
from vramcast.operator_graph import OperatorGraph

_ALWAYS = frozenset({"Relu", "Clip", "LeakyRelu"})
_LINEAR = frozenset({Kind.CONVOLUTION, Kind.MATRIX_PRODUCT})


def fold_scales(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Fold batch normalization into the weights of the convolution before it."""
    return _fused(graph, layers, lambda _, after: after.kind is Kind.SCALE)


def fuse_activations(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Fuse what every precision fuses: a sum with a constant or one other tensor, and ReLU, Clip or leaky ReLU."""

    def may(_: Layer, after: Layer) -> bool:
        others = [operator for operator in after.operators if operator not in _ALWAYS]
        return after.kind is Kind.POINTWISE and (not others or (others == ["Add"] and after.operators[0] == "Add"))

    return _fused(graph, layers, may)


def fuse_chains(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Fuse any chain of pointwise layers that reads at most one other tensor."""
    first = next((layer for layer in layers if layer.kind is Kind.CONVOLUTION), None)
    return _fused(graph, layers, lambda layer, after: after.kind is Kind.POINTWISE and layer is not first and len(layer.outputs) == 1)


def _fused(graph: OperatorGraph, layers: Sequence[Layer], may: Callable[[Layer, Layer], bool]) -> tuple[Layer, ...]:
    """Join each convolution or matrix product with the only reader of its output, where that may be and what else it reads is there before."""
    read = readers(layers)
    place = {name: index for index, layer in enumerate(layers) for name in layer.outputs}
    followers: dict[int, Layer] = {}
    taken = set()
    for index, layer in enumerate(layers):
        after = _only_reader(graph, read, layer) if layer.kind in _LINEAR else None
        if after is None or id(after) in taken or not may(layer, after):
            continue
        others = [name for name in after.inputs if name not in layer.outputs]
        if len(others) <= 1 and all(place.get(name, -1) < index and _is_like(graph, name, layer) for name in others):
            followers[id(layer)] = after
            taken.add(id(after))
    return tuple(
        joined((layer, followers[id(layer)]), layer.kind, layer.module) if id(layer) in followers else layer
        for layer in layers
        if id(layer) not in taken
    )  # fmt: skip


def _only_reader(graph: OperatorGraph, read: dict[str, list[Layer]], layer: Layer) -> Layer | None:
    if len(layer.outputs) != 1 or layer.outputs[0] in graph.outputs:
        return None
    found = read.get(layer.outputs[0], ())
    return found[0] if len(found) == 1 else None


def _is_like(graph: OperatorGraph, name: str, layer: Layer) -> bool:
    """A sum that becomes part of a convolution is not broadcast, unless across the batch (catalog)."""
    other, own = graph.tensors[name].shape, graph.tensors[layer.outputs[0]].shape
    return other == own or (len(other) == len(own) and other[1:] == own[1:] and other[0] == 1)
