"""Pointwise layers that follow one another become one (catalog, "PointWise fusion"; logs: `PWN(PWN(Sigmoid_1), Mul_2)`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vramcast.backends.tensorrt.layers import Kind, Layer, joined, producers, readers
from vramcast.operator_graph import OperatorGraph


def fuse_pointwise(graph: OperatorGraph, layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Join each pointwise layer with the only reader of its output, where that is pointwise too and computes as many elements.

    Batch normalization that follows no convolution is a factor and an offset: pointwise (catalog, "Scale and activation").
    """
    current = _with_free_scales(layers)
    read = readers(current)
    members: dict[int, list[Layer]] = {}
    """Of the layer that ends a chain: what comes before it."""
    gone = set()
    for layer in current:
        if layer.kind is not Kind.POINTWISE:
            continue
        reader = _only_reader(graph, read, layer.outputs[0])
        if reader is not None and reader.kind is Kind.POINTWISE and _elements(graph, layer) == _elements(graph, reader):
            members.setdefault(id(reader), []).extend((*members.pop(id(layer), ()), layer))
            gone.add(id(layer))
    return tuple(
        joined((*members[id(layer)], layer), Kind.POINTWISE, layer.module) if id(layer) in members else layer
        for layer in current
        if id(layer) not in gone
    )  # fmt: skip


def _with_free_scales(layers: Sequence[Layer]) -> list[Layer]:
    made, read = producers(layers), readers(layers)

    def follows_convolution(layer: Layer) -> bool:
        before = made.get(layer.inputs[0])
        return before is not None and before.kind is Kind.CONVOLUTION and len(read[layer.inputs[0]]) == 1

    return [replace(layer, kind=Kind.POINTWISE) if layer.kind is Kind.SCALE and not follows_convolution(layer) else layer for layer in layers]


def _only_reader(graph: OperatorGraph, read: dict[str, list[Layer]], output: str) -> Layer | None:
    found = read.get(output, ()) if output not in graph.outputs else ()
    return found[0] if len(found) == 1 else None


def _elements(graph: OperatorGraph, layer: Layer) -> int:
    return graph.tensors[layer.outputs[0]].elements
