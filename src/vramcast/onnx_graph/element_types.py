"""ONNX's element types by NumPy's names."""

from __future__ import annotations

import onnx_ir as ir


def type_name(dtype: ir.DataType | None) -> str:
    """Return the name `GraphTensor.dtype` uses: `float32`, `bfloat16`, `int4` …; `float32` where the type is not known."""
    if dtype is None or dtype == ir.DataType.UNDEFINED:
        return "float32"
    return "string" if dtype == ir.DataType.STRING else str(dtype.numpy().name)
