"""What small constants lead to, computed by onnxscript (0.7): sizes that are scaled, divided and rounded before a tensor gets them."""

from __future__ import annotations

import math

import onnx_ir as ir
import onnxscript.optimizer

from vramcast.trace import Caveat

_LARGEST = 4096
"""Elements of what is computed."""
_OPERATORS = frozenset(
    "Abs Add And Cast Ceil Clip Concat ConstantOfShape Div Equal Expand Floor Gather Greater GreaterOrEqual Identity Less LessOrEqual Max Min Mod "
    "Mul Neg Not Or Range ReduceMax ReduceMin ReduceProd ReduceSum Reshape Round ScatterElements ScatterND Shape Sign Size Slice Split Sqrt Squeeze "
    "Sub Transpose Unsqueeze Where Xor".split()
)
"""Operators that sizes are computed with: none of them takes more time or memory than its output has elements."""


def fold_small_constants(model: ir.Model) -> tuple[Caveat, ...] | None:
    """Compute what follows from small constants, in place; None where nothing does."""
    try:
        result = onnxscript.optimizer.fold_constants(model, onnx_shape_inference=False, should_fold=_is_small)
    except Exception:  # whatever an operator's reference makes of odd inputs; the shape stays open then
        return None
    return () if result.modified else None


def _is_small(node: ir.Node) -> bool | None:
    """Tell whether a node may be computed: False keeps it, None leaves the choice to onnxscript."""
    if node.op_type not in _OPERATORS or node.domain:
        return False
    return None if all(_elements(value) <= _LARGEST for value in node.outputs) else False


def _elements(value: ir.Value) -> float:
    if value.shape is None or not all(isinstance(side, int) for side in value.shape):
        return math.inf
    return math.prod(side for side in value.shape if isinstance(side, int))
