"""Shapes known without asking torch: elementwise operators on tensors that agree.

torch's Python shape functions spend up to half a millisecond on type promotion and broadcasting. Where every tensor
argument has the same shape, layout and floating type, the output is like the first one, and there is nothing to work out.
"""

from __future__ import annotations

from typing import Any

import torch

_UNARY_OR_BINARY = frozenset(
    f"aten::{name}"
    for name in (
        "add", "sub", "mul", "div", "neg", "relu", "gelu", "silu", "mish", "sigmoid", "tanh", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu",
        "elu", "sqrt", "rsqrt", "exp", "log", "clone", "threshold_backward", "gelu_backward", "silu_backward", "mish_backward",
        "sigmoid_backward", "tanh_backward", "hardswish_backward", "hardsigmoid_backward", "hardtanh_backward", "leaky_relu_backward",
        "elu_backward", "zeros_like", "ones_like", "empty_like", "full_like", "addcmul", "addcdiv", "lerp", "maximum", "minimum", "clamp",
    )
)  # fmt: skip
_FOREACH = frozenset(
    f"aten::_foreach_{name}" for name in ("sqrt", "add", "sub", "mul", "div", "neg", "abs", "sign", "pow", "lerp", "addcmul", "addcdiv", "reciprocal")
)


def shortcut(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the output plan of a call where it is plain; None where torch has to be asked."""
    name = func._schema.name
    if name in _UNARY_OR_BINARY:
        return None if _converts(kwargs) else _like_first(args)
    if name in _FOREACH and func._schema.returns:
        columns = [argument for argument in args if isinstance(argument, (list, tuple)) and argument and isinstance(argument[0], torch.Tensor)]
        scalars = [argument for argument in args if not any(argument is column for column in columns)]
        if any(isinstance(scalar, torch.Tensor) for scalar in scalars):
            return None
        plans = [_like_first(row) for row in zip(*columns)]
        return None if None in plans else plans
    return None


def _converts(kwargs: dict[str, Any]) -> bool:
    return any(kwargs.get(name) is not None for name in ("dtype", "memory_format", "layout")) or kwargs.get("device") not in (
        None,
        torch.device("meta"),
    )


def _like_first(args: tuple[Any, ...]) -> tuple[tuple[int, ...], tuple[int, ...], torch.dtype] | None:
    tensors = [argument for argument in args if isinstance(argument, torch.Tensor)]
    if not tensors:
        return None
    first = tensors[0]
    if not first.is_floating_point() or not _is_dense(first):
        return None
    if any(
        other.shape != first.shape or other.stride() != first.stride() or other.dtype != first.dtype or not other.is_meta for other in tensors[1:]
    ):
        return None
    return (tuple(first.shape), first.stride(), first.dtype)


def _is_dense(tensor: torch.Tensor) -> bool:
    """Only dense tensors pass their layout on unchanged (`TensorIterator`, `empty_like`)."""
    return tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor.is_contiguous()
