"""Precision: the module's own type, autocast around forward and loss, and the gradient scaler fp16 needs."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager

import torch
from torch import nn

from vramcast.workload import Precision, Workload

_AUTOCAST = {"amp-fp16": torch.float16, "amp-bf16": torch.bfloat16}
_MODULE = {"fp16": torch.float16, "bf16": torch.bfloat16}


def autocast(precision: Precision) -> AbstractContextManager[object]:
    """Return the context forward and loss run in."""
    dtype = _AUTOCAST.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast("cuda", dtype)


def autocast_in_validation(precision: Precision) -> AbstractContextManager[object]:
    """Return the context a validation pass runs in: autocast that keeps no cast copies of weights.

    Trainers validate in `torch.inference_mode`, where autocast's weight cache keeps nothing (seen in torch 2.13).
    """
    dtype = _AUTOCAST.get(precision)
    return contextlib.nullcontext() if dtype is None else torch.autocast("cuda", dtype, cache_enabled=False)


def module_dtype(precision: Precision) -> torch.dtype:
    """Return the type of parameters, buffers and images."""
    return _MODULE.get(precision, torch.float32)


def compute_dtype(precision: Precision) -> torch.dtype:
    """Return the type that most products are computed in: autocast's, or else the module's."""
    return _AUTOCAST.get(precision, module_dtype(precision))


def convert(module: nn.Module, precision: Precision) -> nn.Module:
    """Return the module in its type; integer buffers stay as they are."""
    return module.to(module_dtype(precision)) if precision in _MODULE else module


def scaler(workload: Workload) -> torch.amp.GradScaler:
    """Return the gradient scaler: on for fp16 autocast in training, else one that does nothing."""
    return torch.amp.GradScaler("cuda", enabled=workload.precision == "amp-fp16" and workload.is_training)
