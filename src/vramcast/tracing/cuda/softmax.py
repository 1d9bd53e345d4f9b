"""Softmax under autocast: computed in fp32 from half inputs without a copy of the input where the kernel can.

`softmax(x, dim, float32)` on a CUDA half tensor calls `_softmax(x, dim, half_to_float=True)`
(aten/src/ATen/native/SoftMax.cpp, torch 2.13, fp16 only); other types are converted first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions


def softmax(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch.softmax`, `Tensor.softmax`."""
    return _run(mode, func, torch.ops.aten._softmax, args, kwargs)


def log_softmax(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch.log_softmax`, `Tensor.log_softmax`."""
    return _run(mode, func, torch.ops.aten._log_softmax, args, kwargs)


def _run(mode: CudaFunctions, func: Callable[..., Any], kernel: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    source, dim, dtype = _arguments(*args, **kwargs)
    if dtype is None and mode.autocast.is_enabled() and mode.autocast.is_eligible(source):
        dtype = torch.float32
    if dtype is torch.float32 and source.dtype is torch.float16 and source.is_meta:
        output: torch.Tensor = kernel(source, dim, True)
        return output
    output = func(source, dim, dtype=dtype)
    return output


def _arguments(input: torch.Tensor, dim: int, dtype: torch.dtype | None = None) -> tuple[torch.Tensor, int, torch.dtype | None]:
    return input, dim, dtype
