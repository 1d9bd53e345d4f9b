"""Cross-entropy under autocast: log-softmax stays in half, the negative log-likelihood is taken in fp32.

`cross_entropy_loss` passes its input's own type to `log_softmax`, which therefore is not lifted to fp32; `nll_loss` and
`sum` are on autocast's fp32 lists and are (aten/src/ATen/native/LossNLL.cpp, aten/src/ATen/autocast_mode.h, torch 2.13).
So half and fp32 copies of the logits live at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch

from vramcast.tracing.cuda.function import Arguments, Keywords

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions

_NONE, _MEAN = 0, 1
"""`at::Reduction`."""


def cross_entropy(mode: CudaFunctions, func: Callable[..., Any], args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`torch._C._nn.cross_entropy_loss`."""
    call = _Call(*args, **kwargs)
    if not (mode.autocast.is_enabled() and call.input.dtype in (torch.float16, torch.bfloat16)):
        output: torch.Tensor = func(*args, **kwargs)
        return output
    class_dim = 0 if call.input.dim() == 1 else 1
    log_probabilities = torch.log_softmax(call.input, class_dim, dtype=call.input.dtype).float()
    if call.target.is_floating_point():
        return _soft_targets(call, log_probabilities, class_dim)
    loss = torch.ops.aten.nll_loss_nd(log_probabilities, call.target, call.weight, call.reduction, call.ignore_index)
    if call.label_smoothing == 0:
        return cast(torch.Tensor, loss)
    smooth = -log_probabilities.sum(class_dim)
    smooth = smooth.masked_fill(call.target == call.ignore_index, 0.0)
    share = call.label_smoothing / call.input.size(class_dim)
    return cast(torch.Tensor, (1 - call.label_smoothing) * loss) + _reduced(smooth, call.reduction) * share


class _Call:
    """The arguments of `cross_entropy_loss` by name."""

    def __init__(
        self, input: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None, reduction: int = 1,
        ignore_index: int = -100, label_smoothing: float = 0.0,
    ) -> None:  # fmt: skip
        self.input, self.target, self.weight = input, target, weight
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing


def _soft_targets(call: _Call, log_probabilities: torch.Tensor, class_dim: int) -> torch.Tensor:
    target = call.target
    if call.label_smoothing > 0:
        target = target * (1 - call.label_smoothing) + call.label_smoothing / call.input.size(class_dim)
    return _reduced(-(log_probabilities * target).sum(class_dim), call.reduction)


def _reduced(loss: torch.Tensor, reduction: int) -> torch.Tensor:
    if reduction == _NONE:
        return loss
    return loss.mean() if reduction == _MEAN else loss.sum()
