"""Grouped matrix products, as mixtures of experts use them: any floating type, where torch's shape function takes bfloat16 alone.

Sources: aten/src/ATen/native/cuda/GroupedBlas.cpp `_grouped_mm_cuda` and aten/src/ATen/native/GroupedMMUtils.h
`create_grouped_gemm_output_tensor` (torch 2.13): rows of the output are padded to 16 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords
from vramcast.tracing.plans import Tree

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

_ALIGNMENT_BYTES = 16


def grouped_mm(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> Tree:
    """`_grouped_mm`: groups are the third dimension of an argument, or stretches of the shared one between `offs`."""
    first, second, *rest = args
    offs: Any = rest[0] if rest else kwargs.get("offs")
    dtype = kwargs.get("out_dtype") or first.dtype
    rows, columns = first.shape[-2], second.shape[-1]
    padded = -(-columns * dtype.itemsize // _ALIGNMENT_BYTES) * _ALIGNMENT_BYTES // dtype.itemsize
    if (first.dim() == 2) != (second.dim() == 2):
        return torch.empty_strided((rows, columns), (padded, 1), dtype=dtype, device="meta")
    groups = offs.shape[0] if first.dim() == 2 else first.shape[0]
    return torch.empty_strided((groups, rows, columns), (rows * padded, padded, 1), dtype=dtype, device="meta")
