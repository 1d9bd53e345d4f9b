"""Convolutions: layout of what cuDNN returns.

`cudnn_conv_suggest_memory_format` picks channels-last when input or weight is channels-last
(aten/src/ATen/native/ConvUtils.h, torch 2.13); the meta function of a CPU build looks at the input alone. The layout
decides whether gradients can be taken over without a copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords, by_shape
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch


def forward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`convolution`: the output in the suggested layout."""
    output = by_shape(dispatch, func, args, kwargs)
    return _in_format(output, _suggested(args[0], args[1]))


def backward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`convolution_backward`: gradients of input and weight in the suggested layout."""
    outputs = by_shape(dispatch, func, args, kwargs)
    layout = _suggested(args[1], args[2])
    return tuple(output if output is None or output.dim() < 4 else _in_format(output, layout) for output in outputs)


def _suggested(input: torch.Tensor, weight: torch.Tensor) -> torch.memory_format:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    layout = formats.get(input.dim())
    if layout is None:
        return torch.contiguous_format
    if any(_is_channels_last(tensor, layout) for tensor in (input, weight)):
        return layout
    return torch.contiguous_format


def _is_channels_last(tensor: torch.Tensor, layout: torch.memory_format) -> bool:
    # A tensor that is both (1x1 kernels, one channel) says nothing about the layout.
    return tensor.is_contiguous(memory_format=layout) and not tensor.is_contiguous()


def _in_format(tensor: torch.Tensor, layout: torch.memory_format) -> torch.Tensor:
    if tensor.is_contiguous(memory_format=layout):
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta", memory_format=layout)
