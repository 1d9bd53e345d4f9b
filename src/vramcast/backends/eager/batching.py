"""Any batch at the price of a small one: beyond some size, a few small batches are traced and scaled.

Tracing costs the same at every batch as long as shapes are all there is. Losses and post-processing of detectors look at
values, which are drawn and computed with on the CPU, and go through the images one by one; so both time and memory would
grow with the batch. Every byte count being affine in the batch, and every loop over images going round once more per image,
three small traces tell the large one to the byte (`vramcast.family`).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

from vramcast.backends.eager.decoding import trace_decoding
from vramcast.backends.eager.lower_bound import LARGEST_BLOCK, input_bytes
from vramcast.backends.eager.program import trace_program
from vramcast.collecting import not_collecting
from vramcast.errors import ModelError, TooLargeError
from vramcast.family import fit
from vramcast.program.program import setting_of
from vramcast.sources.interface import TASKS_WITH_OBJECTS, Model
from vramcast.trace import Trace
from vramcast.workload import Workload

Progress = Callable[[str], None]

LARGEST_DIRECT = 32
"""Images of a batch up to which a detector is traced as it is."""
LARGEST_DIRECT_TORCHVISION = 8
"""The same of torchvision's detectors, which have an anchor per 4 pixels and hold what they compute on all of them."""
LARGEST_DIRECT_PAIRS = 2 * 10**8
"""Pixels x objects of a batch up to which it is: an assigner compares each object with each anchor, one per 48 pixels, in
16 bytes; beyond 2**27 bytes values are no longer followed (`tracing/values.py`)."""
LARGEST_FALLBACK = 1024
"""Images of a batch up to which a detector is traced as it is where small batches do not tell."""
SMALLEST = 4
"""The smallest batch traced: a loop over images has a first and a last round then, and others that are like those of any batch."""
LARGEST_SCALE = 8
"""Images per unit, of training and validation together, up to which both are scaled as one."""
LARGEST_SCRIPT = 5_000_000
"""Events and operations up to which a trace is spelled out."""
LARGEST_INPUT = 2**54
"""Bytes of a batch up to which tracing is tried; activations are a few hundred times as large."""
LARGEST_TARGETS = 10**5
"""Objects per image up to which they are drawn."""
LARGEST_DRAWING = 2**28
"""Bytes of drawn predictions per image up to which they are drawn."""


def trace_workload(model: Model, workload: Workload, capability: tuple[int, int] | None, progress: Progress) -> Trace:
    """Return what a workload does to memory, traced as it is or scaled from small batches: the same to the byte.

    Raises:
        TooLargeError: byte counts beyond 64-bit integers, or values that would have to be drawn beyond what a computer holds.
        ModelError, UntraceableError, WorkloadError: as `trace_program`.
    """
    _check_sizes(model, workload)
    try:
        scaled = None if is_cheap(model, workload) else _scaled(model, workload, capability, progress)
        direct = trace_program if workload.new_tokens is None else trace_decoding
        trace = scaled or direct(model, workload, capability, progress)
    except ModelError as error:
        if _is_overflow(error.__cause__):
            raise TooLargeError(f"Tracing {model.name} at this size exceeds what can be counted: {error.__cause__}.") from error
        raise
    if float(trace.sizes.astype(float).sum()) > LARGEST_BLOCK:
        raise TooLargeError(f"Tracing {model.name} at this size exceeds what can be counted.")
    return trace


def _check_sizes(model: Model, workload: Workload) -> None:
    """Refuse what need not be tried."""
    if input_bytes(model, workload) > LARGEST_INPUT:
        raise TooLargeError("What is made of such inputs exceeds what can be counted.")
    if model.task in TASKS_WITH_OBJECTS and model.source == "ultralytics":
        setting = setting_of(model, workload)
        anchors = math.prod(setting.image) * 21 // 1024  # strides of 8, 16 and 32
        if anchors * setting.classes * 4 > LARGEST_DRAWING:
            raise TooLargeError(f"Losses and post-processing look at predictions: those of {anchors:,} anchors are too many to be drawn.")
    if model.task in TASKS_WITH_OBJECTS and workload.is_training and setting_of(model, workload).targets > LARGEST_TARGETS:
        raise TooLargeError(f"More than {LARGEST_TARGETS:,} objects per image are too many to be drawn.")


def is_cheap(model: Model, workload: Workload) -> bool:
    """Tell whether tracing costs no more for its batch."""
    if model.task not in TASKS_WITH_OBJECTS:
        return True
    setting = setting_of(model, workload)
    largest = max(workload.batch, workload.validation.batch if workload.validation else 0)
    most = LARGEST_DIRECT_TORCHVISION if model.source == "torchvision" else LARGEST_DIRECT
    return largest <= 2 * SMALLEST or (
        workload.batch <= most and workload.batch * max(setting.targets, 1) * math.prod(setting.image) <= LARGEST_DIRECT_PAIRS
    )


def _scaled(model: Model, workload: Workload, capability: tuple[int, int] | None, progress: Progress) -> Trace | None:
    """Return the trace at the workload's batch from smaller ones; None where those do not tell it.

    Raises:
        TooLargeError: they do not, and the batch is too large to be traced as it is; or there are too many events.
    """
    unit = _unit(workload)
    count = workload.batch // unit.batch
    family = None
    if count > SMALLEST + 2:
        first, second, third = (trace_program(model, _times(unit, SMALLEST + more, workload), capability, progress) for more in range(3))
        with not_collecting():
            family = fit((first, second, third), SMALLEST)
    if family is None:
        if workload.batch > LARGEST_FALLBACK:
            raise TooLargeError(f"What {model.name} does is not proportional to its batch, and {workload.batch:,} images are too many to trace.")
        return None
    if family.lines(count) > LARGEST_SCRIPT or family.largest_block(count) > LARGEST_BLOCK:
        raise TooLargeError(f"{model.name} goes through {workload.batch:,} images one by one, which is too much to follow.")
    return family.at(count)


def _unit(workload: Workload) -> Workload:
    """Return the workload of the smallest batch that scales to the given one.

    A validation batch scales along where it is a small multiple or fraction of the batch; otherwise it stays what it is.
    """
    if workload.validation is None:
        return workload.with_fields(batch=1)
    common = math.gcd(workload.batch, workload.validation.batch)
    batch, validation = workload.batch // common, workload.validation.batch // common
    if batch + validation > LARGEST_SCALE:
        return workload.with_fields(batch=1)
    return workload.with_fields(batch=batch, validation=msgspec.structs.replace(workload.validation, batch=validation))


def _times(unit: Workload, count: int, whole: Workload) -> Workload:
    """Return `count` units; a validation batch that the unit leaves as it is stays as it is."""
    if unit.validation is None or unit.validation == whole.validation:
        return unit.with_fields(batch=unit.batch * count)
    return unit.with_fields(batch=unit.batch * count, validation=msgspec.structs.replace(unit.validation, batch=unit.validation.batch * count))


def _is_overflow(error: BaseException | None) -> bool:
    """Tell whether torch, or this machine's memory, gave up because of a size (messages of torch 2.13: c10/core, ATen/EmptyTensor.cpp)."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, OverflowError)) or "overflow" in text or "can't allocate memory" in text
