"""Bicubic upsampling: one kernel on CUDA, whose shape torch otherwise works out by running its decomposition.

The output takes the input's suggested memory format (aten/src/ATen/native/UpSampleBicubic2d.cpp, torch 2.13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch


def bicubic(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`upsample_bicubic2d`: N x C x H x W to the given height and width."""
    source, (height, width), *_ = args
    images, channels = source.shape[:2]
    is_channels_last = source.is_contiguous(memory_format=torch.channels_last) and not source.is_contiguous()
    layout = torch.channels_last if is_channels_last else torch.contiguous_format
    return torch.empty((images, channels, height, width), dtype=source.dtype, device="meta", memory_format=layout)
