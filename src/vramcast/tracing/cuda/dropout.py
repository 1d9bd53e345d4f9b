"""Dropout: on CUDA one fused kernel that returns the output and a mask of one byte per element.

Source: aten/src/ATen/native/Dropout.cpp `is_fused_kernel_acceptable` (torch 2.13): CUDA, 0 < p < 1, not empty, training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions


def dropout(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch.dropout(input, p, train)`."""
    source, probability, is_training = _arguments(*args, **kwargs)
    if is_training and 0 < probability < 1 and source.is_meta and source.numel():
        output: torch.Tensor = torch.ops.aten.native_dropout(source, probability, True)[0]
        return output
    output = func(*args, **kwargs)
    return output


def dropout_in_place(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch.dropout_`: not fused; the noise has the input's type."""
    output: torch.Tensor = func(*args, **kwargs)
    return output


def _arguments(input: torch.Tensor, p: float, train: bool) -> tuple[torch.Tensor, float, bool]:
    return input, p, train
