"""Shapes of operators that ONNX Runtime writes into the graphs it optimises and quantises, where onnx-shape-inference (0.4) has no rule or another.

Rules: schemas of the domain `com.microsoft` (onnxruntime/docs/ContribOperators.md), held against what onnxruntime 1.32.0 writes and runs. Corrected
are `QGemm`, whose output has the type of its zero point, and `FusedMatMul` with `transBatchA` and `transBatchB`, which the package passes over.
"""

from __future__ import annotations

import functools
from typing import Any

import onnx_ir as ir
from onnx_shape_inference import registry

_DOMAIN = "com.microsoft"
_AS_IN_ONNX = {"FusedConv": "Conv", "FusedGemm": "Gemm", "QuantizeLinear": "QuantizeLinear", "DequantizeLinear": "DequantizeLinear"}
"""What takes more inputs or attributes than the operator of ONNX, and gives the same."""
_NEWEST = 21


@functools.cache
def register_contrib_shapes() -> None:
    """Make the rules known to the package."""
    registry.collect()
    for name, same in _AS_IN_ONNX.items():
        rule = registry.get("", same, version=_NEWEST)
        if rule is not None:
            registry.register(_DOMAIN, name)(rule)
    registry.register(_DOMAIN, "BiasSoftmax")(_as_first_input)
    registry.register(_DOMAIN, "FusedMatMul")(_product)
    registry.register(_DOMAIN, "DynamicQuantizeMatMul")(_product)
    registry.register(_DOMAIN, "MatMulIntegerToFloat")(functools.partial(_product, typed_as=2))
    registry.register(_DOMAIN, "QGemm")(functools.partial(_quantized_gemm, registry.get(_DOMAIN, "QGemm", version=1)))


def _as_first_input(context: Any, node: ir.Node) -> None:
    source = node.inputs[0]
    if source is not None and source.shape is not None and source.dtype is not None:
        context.set_shape_and_dtype(node.outputs[0], source.shape, source.dtype)


def _product(context: Any, node: ir.Node, typed_as: int = 0) -> None:
    """A product of matrices whose batches are broadcast; each may be read transposed. Open dimensions are left to a later round."""
    one, other, typed = (node.inputs[place] for place in (0, 1, typed_as))
    if one is None or other is None or typed is None or one.shape is None or other.shape is None or typed.dtype is None:
        return
    left, right = (_as_read(node, list(value.shape or ()), side) for value, side in ((one, "A"), (other, "B")))
    if len(left) < 2 or len(right) < 2:
        context.record_error(node, f"{node.op_type} multiplies matrices, and was given {one.shape} and {other.shape}")
        return
    batch = [_broadcast(*pair) for pair in zip(*_of_one_rank(left[:-2], right[:-2]))]
    context.set_shape_and_dtype(node.outputs[0], ir.Shape([*batch, left[-2], right[-1]]), typed.dtype)


def _as_read(node: ir.Node, sides: list[Any], name: str) -> list[Any]:
    def flag(kind: str) -> bool:
        attribute = node.attributes.get(f"{kind}{name}")
        return attribute is not None and bool(attribute.as_int())

    if len(sides) > 2 and flag("transBatch"):
        sides = [*sides[1:-1], sides[0], sides[-1]]
    return [*sides[:-2], sides[-1], sides[-2]] if len(sides) > 1 and flag("trans") else sides


def _of_one_rank(one: list[Any], other: list[Any]) -> tuple[list[Any], list[Any]]:
    rank = max(len(one), len(other))
    return [*[1] * (rank - len(one)), *one], [*[1] * (rank - len(other)), *other]


def _broadcast(one: Any, other: Any) -> Any:
    return other if one == 1 else one


def _quantized_gemm(shape: Any, context: Any, node: ir.Node) -> None:
    """Take the shape as the package has it; without a scale of the output it is float."""
    zero_point = node.inputs[8] if len(node.inputs) > 8 else None
    shape(context, node)
    if zero_point is not None and zero_point.dtype is not None:
        node.outputs[0].dtype = zero_point.dtype
