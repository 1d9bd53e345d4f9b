"""The most that operators give whose output's size depends on values, by the ONNX specification of each (opset 23)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import onnx_ir as ir

from vramcast.trace import Caveat

Shapes = list[tuple[int, ...]]


def bound_outputs(model: ir.Model) -> tuple[Caveat, ...] | None:
    """Give such outputs the largest shape they can have, in place, where the inputs' shapes are known; None where there are none."""
    found: dict[str, int] = {}
    for node in model.graph:
        rule = None if node.domain else _RULES.get(node.op_type)
        unknown = any(value.shape is None or not all(isinstance(side, int) for side in value.shape) for value in node.outputs)
        if rule is None or not unknown:
            continue
        shapes = rule(node)
        if shapes is None:
            continue
        found[node.op_type] = found.get(node.op_type, 0) + 1
        for value, shape in zip(node.outputs, shapes):
            value.shape = ir.Shape(shape)
    return tuple(map(_caveat, found.items())) or None


def _caveat(entry: tuple[str, int]) -> Caveat:
    name, count = entry
    return Caveat(f"What {count} {name} operator{'s give' if count > 1 else ' gives'} depends on values: the most was taken that "
                  f"{'they' if count > 1 else 'it'} can give.")  # fmt: skip


def _shape(node: ir.Node, index: int) -> tuple[int, ...] | None:
    """Return the shape of an input, where it is known."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None or value.shape is None or not all(isinstance(side, int) for side in value.shape):
        return None
    return tuple(int(side) for side in value.shape if isinstance(side, int))


def _number(node: ir.Node, index: int) -> int | None:
    """Return an input that is one known number."""
    value = node.inputs[index] if index < len(node.inputs) else None
    tensor = value.const_value if value is not None else None
    return int(tensor.numpy().ravel()[0]) if tensor is not None and tensor.size == 1 else None


def _axis(node: ir.Node, name: str = "axis") -> int | None:
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None else None


def _non_zero(node: ir.Node) -> Shapes | None:
    shape = _shape(node, 0)
    return None if shape is None else [(len(shape), math.prod(shape))]


def _non_maximum_suppression(node: ir.Node) -> Shapes | None:
    """`boxes` N x boxes x 4, `scores` N x classes x boxes, `max_output_boxes_per_class`; the output is selected x 3."""
    boxes, scores, most = _shape(node, 0), _shape(node, 1), _number(node, 2)
    if boxes is None or scores is None or len(boxes) != 3 or len(scores) != 3:
        return None
    each = boxes[1] if most is None else min(most, boxes[1])
    return [(scores[0] * scores[1] * max(each, 0), 3)]


def _compress(node: ir.Node) -> Shapes | None:
    shape, axis = _shape(node, 0), _axis(node)
    return None if shape is None else [shape if axis is not None else (math.prod(shape),)]


def _unique(node: ir.Node) -> Shapes | None:
    shape, axis = _shape(node, 0), _axis(node)
    if shape is None:
        return None
    count = math.prod(shape) if axis is None else shape[axis]
    return [(count,) if axis is None else shape, (count,), (count,), (count,)]


def _top_k(node: ir.Node) -> Shapes | None:
    shape = _shape(node, 0)
    return None if shape is None else [shape, shape]


_RULES: Mapping[str, Callable[[ir.Node], Shapes | None]] = {
    "NonZero": _non_zero, "NonMaxSuppression": _non_maximum_suppression, "Compress": _compress, "Unique": _unique, "TopK": _top_k,
}  # fmt: skip
