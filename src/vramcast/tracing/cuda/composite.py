"""Operators whose kernel is itself made of operators, called below the point where a dispatch mode sees them.

A shape function shows their output alone; on the device the intermediate tensors exist for a moment. The rules here run
those steps one by one. Source: aten/src/ATen/native/Loss.cpp, aten/src/ATen/native/cuda/Loss.cu and
aten/src/ATen/native/ReduceOps.cpp (torch 2.13).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from vramcast.tracing.cuda.kernel import Arguments, Keywords, by_shape

if TYPE_CHECKING:
    from vramcast.tracing.dispatch import MetaDispatch

aten = torch.ops.aten

ELEMENTWISE_LOSSES = (
    aten.huber_loss.default,
    aten.soft_margin_loss.default,
    aten.binary_cross_entropy.default,
)

RESIZED_LOSSES = (aten.mse_loss.default, aten.smooth_l1_loss.default)

_NONE, _MEAN = 0, 1
"""`at::Reduction`."""


def elementwise_loss(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """A loss per element, reduced afterwards."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args)) | kwargs
    reduction = given.pop("reduction", _MEAN)
    loss = _step(dispatch, func, **given, reduction=_NONE)
    return _reduced(dispatch, loss, reduction)


def resized_loss(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """As the others; but the reduced result is made at full size first and then resized, so it keeps that storage."""
    names = [argument.name for argument in func._schema.arguments]
    given = dict(zip(names, args)) | kwargs
    reduction = given.pop("reduction", _MEAN)
    per_element = _step(dispatch, func, **given, reduction=_NONE)
    if reduction == _NONE:
        return per_element
    reduced = _step(dispatch, aten.empty_like.default, per_element)
    return reduced.as_strided((), ())


def binary_cross_entropy_with_logits(
    dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords
) -> torch.Tensor:  # fmt: skip
    """`log_sigmoid(input)`, `(1 - target) * input - …` in place, weights, reduction."""
    source, target, weight, pos_weight, reduction = _bce_arguments(*args, **kwargs)
    log_sigmoid = _step(dispatch, aten.empty_like.default, source)
    loss = _step(dispatch, aten.rsub.Scalar, target, 1)
    if pos_weight is not None:
        _step(dispatch, aten.mul.Tensor, target, pos_weight)
    if loss.dtype != source.dtype:
        loss = _step(dispatch, aten.empty_like.default, source)
    if weight is not None:
        _step(dispatch, aten.mul_.Tensor, loss, weight)
    del log_sigmoid
    return _reduced(dispatch, loss, reduction)


def logsumexp(dispatch: MetaDispatch, func: torch._ops.OpOverload, args: Arguments, kwargs: Keywords) -> torch.Tensor:
    """`max` along the dimension, then `exp(x - max)`, one tensor of the input's size, then its sum."""
    source, dim = args[:2]
    if source.numel():
        largest = _step(dispatch, aten.amax.default, source, dim, True)
        shifted = _step(dispatch, aten.sub.Tensor, source, largest)
        del shifted
    output: torch.Tensor = by_shape(dispatch, func, args, kwargs)
    dispatch.born(output)
    return output


def _bce_arguments(
    self: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None, pos_weight: torch.Tensor | None = None, reduction: int = _MEAN
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None, int]:
    return self, target, weight, pos_weight, reduction


def _reduced(dispatch: MetaDispatch, loss: torch.Tensor, reduction: int) -> torch.Tensor:
    if reduction == _NONE:
        return loss
    return _step(dispatch, aten.mean.default if reduction == _MEAN else aten.sum.default, loss)


def _step(dispatch: MetaDispatch, func: torch._ops.OpOverload, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Run one inner operator and record what it makes, under the outer operator's name."""
    output: torch.Tensor = by_shape(dispatch, func, args, kwargs)
    dispatch.born(output)
    return output
