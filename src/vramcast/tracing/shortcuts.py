"""Shapes known without asking torch: elementwise operators on tensors that agree.

torch's Python shape functions spend up to half a millisecond on type promotion and broadcasting. Where every tensor
argument has the same shape, layout and floating type, the output is like the first one, and there is nothing to work out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

Plan = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]
"""Size, stride and type of an output."""

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


def is_plain_write(func: torch._ops.OpOverload, args: tuple[Any, ...]) -> bool:
    """Tell whether an in-place operator cannot fail on shapes: elementwise or filling, on tensors of one shape; or over lists made alike."""
    if func._schema.name.startswith("aten::_foreach_"):
        return True
    if not (torch.Tag.pointwise in func.tags or torch.Tag.nondeterministic_seeded in func.tags):
        return False
    tensors = [argument for argument in args if isinstance(argument, torch.Tensor)]
    return all(other.shape == tensors[0].shape and other.dtype == tensors[0].dtype for other in tensors[1:])


def shortcut(func: torch._ops.OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the output plan of a call where it is plain; None where torch has to be asked."""
    name = func._schema.name
    special = _SPECIAL.get(name)
    if special is not None:
        return special(args)
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


def _like_first(args: tuple[Any, ...]) -> Plan | None:
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


def _batch_norm(args: tuple[Any, ...]) -> list[Any] | None:
    """`native_batch_norm`: output, and mean and inverse deviation per channel in fp32.

    Source: `batch_norm_cuda`, aten/src/ATen/native/cuda/Normalization.cu, torch 2.13.
    """
    source = args[0]
    like = _like_first((source,))
    if like is None or source.dim() < 2:
        return None
    statistics = ((source.shape[1],), (1,), torch.float32)
    return [like, statistics, statistics]


def _batch_norm_backward(args: tuple[Any, ...]) -> list[Any] | None:
    """`native_batch_norm_backward`: gradients of input, weight and bias, as far as they are wanted."""
    source, weight, wanted = args[1], args[2], args[9]
    like = _like_first((source,))
    if like is None or source.dim() < 2:
        return None
    channels = ((source.shape[1],), (1,), source.dtype if weight is None else weight.dtype)
    return [part if is_wanted else None for part, is_wanted in zip((like, channels, channels), wanted)]


def _convolution(args: tuple[Any, ...]) -> Plan | None:
    """`convolution` of a batch, not transposed: the size formula of `torch.nn.Conv2d`; None where something does not fit.

    The layout is left to the rule for cuDNN (`tracing/cuda/convolution.py`).
    """
    source, weight, _, stride, padding, dilation, is_transposed, _, groups = args
    if is_transposed or source.dim() != weight.dim() or source.shape[1] != weight.shape[1] * groups or source.dtype != weight.dtype:
        return None
    dims = source.dim() - 2
    steps = zip(source.shape[2:], weight.shape[2:], _each(stride, dims), _each(padding, dims), _each(dilation, dims))
    image = [(side + 2 * pad - spread * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, spread in steps]
    if min(image) < 1:
        return None
    shape = (source.shape[0], weight.shape[0], *image)
    return (shape, torch.empty(shape, device="meta").stride(), source.dtype)


def _convolution_backward(args: tuple[Any, ...]) -> list[Any] | None:
    """`convolution_backward`: gradients of input, weight and bias, as far as they are wanted."""
    grad_output, source, weight, wanted = *args[:3], args[10]
    gradients = (_like_first((source,)), _like_first((weight,)), ((weight.shape[0],), (1,), weight.dtype))
    if None in gradients or args[7] or grad_output.dtype != source.dtype:
        return None
    return [part if is_wanted else None for part, is_wanted in zip(gradients, wanted)]


def _each(value: Any, dims: int) -> list[int]:
    return list(value) * dims if len(value) == 1 else list(value)


_SPECIAL: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "aten::convolution": _convolution,
    "aten::convolution_backward": _convolution_backward,
    "aten::native_batch_norm": _batch_norm,
    "aten::native_batch_norm_backward": _batch_norm_backward,
}
