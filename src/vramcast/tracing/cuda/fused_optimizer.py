"""Fused optimizers: one kernel for all tensors, in place, without temporaries.

Source: aten/src/ATen/native/cuda/FusedAdamKernel.cu, FusedSgdKernel.cu, FusedAdagradKernel.cu (torch 2.13). They have
no meta kernel, and need none: they return nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

OPERATORS = tuple(
    getattr(getattr(torch.ops.aten, name), overload)
    for name in ("_fused_adam_", "_fused_adamw_", "_fused_sgd_", "_fused_adagrad_")
    if hasattr(torch.ops.aten, name)
    for overload in getattr(torch.ops.aten, name).overloads()
)


def run(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> None:
    """Update everything in place: no memory moves."""
