"""What the CUDA attention kernels allocate, where their shape functions say otherwise.

Sources: aten/src/ATen/native/transformers/cuda/attention.cu (`_flash_attention_forward`, `_efficient_attention_forward`,
`_cudnn_attention_forward`) and aten/src/ATen/native/transformers/attention.cpp (`_safe_softmax`), read at torch 2.10 to 2.13.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords, by_shape
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch


def flash_forward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_scaled_dot_product_flash_attention`: output, log-sum-exp, and the random state in two device tensors of 16 and 8 bytes."""
    query, key = args[:2]
    batch, heads, length, _ = query.shape
    return (
        torch.empty_like(query),
        query.new_empty((batch, heads, length), dtype=torch.float32),
        None,
        None,
        length,
        key.size(2),
        query.new_empty(2, dtype=torch.uint64),
        query.new_empty((), dtype=torch.uint64),
        query.new_empty(0),
    )


def efficient_forward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_scaled_dot_product_efficient_attention`: seed and offset of the random numbers stay on the CPU."""
    output, log_sum_exp, *_ = by_shape(dispatch, func, args, kwargs)
    return output, log_sum_exp, *(torch.empty((), dtype=torch.int64, device="cpu") for _ in range(2))


def cudnn_forward(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_scaled_dot_product_cudnn_attention`: seed and offset on the device; no statistics unless a gradient will be asked for."""
    output, log_sum_exp, *rest = func(*args, **kwargs)
    compute_log_sum_exp = args[4]
    return output, log_sum_exp if compute_log_sum_exp else log_sum_exp.new_empty(0), *rest


def safe_softmax(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`_safe_softmax`: a mask of minus infinities as large as the scores, and one of fully masked rows, exist for a moment."""
    output: torch.Tensor = by_shape(dispatch, func, args, kwargs)
    dispatch.born(output)
    source, dim = args[:2]
    masked = torch.empty(source.shape, dtype=torch.bool, device="meta")
    dispatch.born(masked)
    rows = masked.narrow(dim, 0, 1) if source.numel() else masked
    dispatch.born(torch.empty(rows.shape, dtype=torch.bool, device="meta"))
    return output


def is_mask_left_aligned(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> bool:
    """`_nested_tensor_from_mask_left_aligned`: no, so that `nn.TransformerEncoder` keeps its padding rather than nest.

    How many tokens the padding mask hides depends on values; with padding, memory is at its upper bound.
    """
    return False
