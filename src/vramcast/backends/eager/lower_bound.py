"""What is certain where a workload is too large to be traced: weights and inputs alone."""

from __future__ import annotations

import math
import re

import numpy as np
from torch import nn

from vramcast.errors import TooLargeError
from vramcast.program.adapters import attach_adapters, hold_base
from vramcast.program.precision import convert
from vramcast.program.program import setting_of
from vramcast.program.quantized import pack_weights
from vramcast.program.tasks.language import sequence_length
from vramcast.sources.building import build_on_meta
from vramcast.sources.interface import Model
from vramcast.trace import Caveat, Component, Phase, Subject, Trace
from vramcast.workload import Workload

LARGEST_BLOCK = 2**60
"""Bytes beyond which no block is counted: sums of a few such blocks still are 64-bit integers."""

_TOKEN = 8
"""Bytes of a token id, int64."""


def input_bytes(model: Model, workload: Workload) -> int:
    """Return the bytes of one batch on the card, counting what has a known shape."""
    setting = setting_of(model, workload)
    if workload.inputs:
        return sum(math.prod(spec.shape) * _itemsize(spec.dtype) for spec in workload.inputs)
    if model.image is None and model.task != "generic":
        return workload.batch * sequence_length(setting) * _TOKEN
    return workload.batch * model.channels * math.prod(setting.image) * setting.dtype.itemsize


def trace_lower_bound(model: Model, workload: Workload, reason: TooLargeError) -> Trace:
    """Return the trace of a program that has weights and one batch and does nothing with them; a caveat says so.

    Raises:
        ModelError: the model cannot be built.
        WorkloadError: weights or adapters do not go with it.
    """
    parameters = list(_as_held(model, workload).parameters())
    weights = sum(parameter.nbytes for parameter in parameters)
    held = {Component.WEIGHTS: weights, Component.INPUTS: input_bytes(model, workload)}
    sizes = {component: min(size, LARGEST_BLOCK) for component, size in held.items() if size}
    order, zeros = np.arange(len(sizes), dtype=np.int64), np.zeros(len(sizes), np.int64)
    return Trace(
        subject=Subject(
            name=model.name, source=model.source, parameters=sum(parameter.numel() for parameter in parameters),
            trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        ),
        kinds=zeros, blocks=order, operations=order, sizes=np.array(list(sizes.values()), np.int64),
        components=np.array(list(sizes), np.int64), streams=zeros, block_modules=zeros,
        operation_operators=zeros, operation_modules=zeros, operation_phases=zeros,
        operators=("aten::empty",), modules=("",), phases=(Phase("staging", 0),), caveats=(_caveat(held, reason),),
    )  # fmt: skip


def _as_held(model: Model, workload: Workload) -> nn.Module:
    """Return the module with its weights packed and converted as the workload says, and adapters beside them."""
    module = build_on_meta(model, workload.classes)
    pack_weights(module, workload, model)
    convert(module, workload.precision)
    if workload.lora is not None:
        attach_adapters(module, workload.lora, hold_base(module, workload))
    return module


def _caveat(held: dict[Component, int], reason: TooLargeError) -> Caveat:
    more = "" if max(held.values()) <= LARGEST_BLOCK else f" Beyond 2^{LARGEST_BLOCK.bit_length() - 1} bytes nothing is counted."
    return Caveat(f"A lower bound: weights and one batch of inputs, nothing else. {reason}{more}")


def _itemsize(dtype: str) -> int:
    """Return the bytes of an element by its type's name; 1 where the name has no width."""
    bits = re.search(r"(\d+)$", dtype)
    return int(bits[1]) // 8 if bits else 1
