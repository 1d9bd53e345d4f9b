"""Bytes and layouts of `TensorSpec`s."""

from __future__ import annotations

import math

from vramcast.trace import OperatorCall, TensorSpec

ITEM_BYTES = {
    "float64": 8, "float32": 4, "float16": 2, "bfloat16": 2, "complex64": 8, "complex128": 16,
    "int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip
"""Bytes of one element."""


def given(call: OperatorCall, *positions: int) -> tuple[TensorSpec, ...]:
    """Return the tensor arguments at these positions.

    Raises:
        ValueError: one of them is absent, which the operator's schema forbids.
    """
    found = tuple(call.inputs[position] for position in positions)
    present = tuple(spec for spec in found if spec is not None)
    if len(present) != len(found):
        raise ValueError(f"{call.operator} lacks one of its tensor arguments {positions}")
    return present


def item_bytes(spec: TensorSpec) -> int:
    """Return the bytes of one element; 4 for a type not listed."""
    return ITEM_BYTES.get(spec.dtype, 4)


def elements(spec: TensorSpec) -> int:
    """Return the number of elements."""
    return math.prod(spec.shape)


def dense_bytes(spec: TensorSpec) -> int:
    """Return the bytes of a copy without gaps."""
    return math.prod(spec.shape) * item_bytes(spec)


def is_contiguous(spec: TensorSpec) -> bool:
    """Tell whether a tensor is dense in the order of its dimensions; strides of dimensions of one element do not count."""
    return _is_dense(spec, range(len(spec.shape)))


def is_channels_last(spec: TensorSpec) -> bool:
    """Tell whether a tensor (N, C, spatial …) is dense with its channels innermost."""
    return _is_dense(spec, (0, *range(2, len(spec.shape)), 1))


def is_contiguous_transposed(spec: TensorSpec) -> bool:
    """Tell whether a tensor (B, H, S, E) is dense as (B, S, H, E)."""
    return _is_dense(spec, (0, 2, 1, 3))


def _is_dense(spec: TensorSpec, order: tuple[int, ...] | range) -> bool:
    expected = 1
    for dim in reversed(order):
        size = spec.shape[dim]
        if size == 0:
            return True
        if size != 1 and spec.stride[dim] != expected:
            return False
        expected *= size
    return True
