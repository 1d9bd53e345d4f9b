"""Shapes of every tensor, by onnx-shape-inference (0.4), which works on onnx-ir models without writing them out."""

from __future__ import annotations

import onnx_ir as ir
from onnx_shape_inference import infer_symbolic_shapes


def infer_shapes(model: ir.Model) -> None:
    """Fill in what shapes follow from those of inputs and constants, in place."""
    if any(not _is_known(value) for node in model.graph for value in node.outputs):
        infer_symbolic_shapes(model, warn_on_missing=False)


def _is_known(value: ir.Value) -> bool:
    return value.shape is not None and value.dtype is not None and all(isinstance(side, int) for side in value.shape)
