"""Attention as one kernel: the product of queries and keys, softmax, and the product with values; the scores are never written.

docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/transformers-fused-attention.html ("Fused Attention": matrix product, optional
pointwise scale and mask, softmax, matrix product; queries, keys and values have one head size). It is for half precision and below on Turing and
later; in fp32 the scores are written (logs: YOLO26n in fp32, where the two products are kernels of their own).
"""

from __future__ import annotations

from collections.abc import Sequence

from vramcast.backends.tensorrt.layers import Kind, Layer, joined, readers
from vramcast.operator_graph import OperatorGraph

_BETWEEN = frozenset({Kind.POINTWISE, Kind.VIEW})
_MOST_BETWEEN = 3


def fuse_attention(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Join each softmax between two products of computed tensors with both of them."""
    read = readers(layers)
    chains: dict[int, tuple[Layer, ...]] = {}
    for layer in layers:
        if layer.kind is Kind.MATRIX_PRODUCT and len(layer.inputs) >= 2:
            chain = _chain(graph, read, layer)
            if chain is not None and id(chain[-1]) not in chains:
                chains[id(chain[-1])] = chain
    gone = {id(layer) for chain in chains.values() for layer in chain[:-1]}
    return tuple(
        joined(chains[id(layer)], Kind.ATTENTION, layer.module) if id(layer) in chains else layer for layer in layers if id(layer) not in gone
    )


def _chain(graph: OperatorGraph, read: dict[str, list[Layer]], product: Layer) -> tuple[Layer, ...] | None:
    chain, seen_softmax = [product], False
    for _ in range(2 * _MOST_BETWEEN):
        if len(chain[-1].outputs) != 1 or chain[-1].outputs[0] in graph.outputs or len(read.get(chain[-1].outputs[0], ())) != 1:
            return None
        after = read[chain[-1].outputs[0]][0]
        chain.append(after)
        if after.kind is Kind.SOFTMAX and not seen_softmax:
            seen_softmax = True
        elif after.kind is Kind.MATRIX_PRODUCT:
            return tuple(chain) if seen_softmax and _has_one_head_size(graph, product, after) else None
        elif after.kind not in _BETWEEN:
            return None
    return None


def _has_one_head_size(graph: OperatorGraph, first: Layer, last: Layer) -> bool:
    """YOLO's attention has keys of half the size, and its scores are written (logs: scratch of YOLOv10n and YOLO11n in fp16)."""
    return graph.tensors[first.inputs[0]].shape[-1:] == graph.tensors[last.outputs[0]].shape[-1:]
