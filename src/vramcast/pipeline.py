"""Model, workload and card in, answer out: the one place where everything meets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from vramcast.allocator.config import AllocatorConfig
from vramcast.answer import Estimate
from vramcast.backends.registry import backend_of, with_backend
from vramcast.closed_form import is_count, trace_parameters
from vramcast.collecting import not_collecting
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.errors import TooLargeError, UnknownNameError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.per_target import bytes_per_target, has_targets, with_more_targets
from vramcast.served import Served
from vramcast.sources import registry
from vramcast.sources.python_object import model_of
from vramcast.stored_weights import is_weights_file
from vramcast.stored_weights_trace import trace_stored_weights
from vramcast.trace import Caveat, Trace
from vramcast.verdict import verdict_of
from vramcast.workload import Mode, Workload

if TYPE_CHECKING:
    from torch import nn

    from vramcast.sources.interface import Model

Progress = Callable[[str], None]


def estimate(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec | None = None, *,
    data: Data | None = None, progress: Progress | None = None,
) -> Estimate:  # fmt: skip
    """Forecast what a model needs under a workload, and whether a card has it.

    `model` is a name (`torchvision:resnet50`, `model.py:build`), a number of parameters (`params:100M`), a module, which is left as it is,
    or a callable that returns one. `data` is a data set, or the path of one: the forecast is then for its worst batch (`vramcast.read_data`).

    Raises:
        UsageError: an unknown or ambiguous name, a missing extra, an unreadable file.
        ModelError: the model cannot be built or run.
        UntraceableError: an operator cannot be followed without a GPU.
    """
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    AllocatorConfig.parse(workload.allocator)  # refused before anything is traced
    report = progress or (lambda _: None)
    if isinstance(model, str) and is_count(model):
        workload = with_backend(workload, model)
        for_worst_batch(data, workload, model)  # refuses one
        return _lower_bound(forecast(trace_parameters(model, workload), card, workload))
    try:
        with not_collecting():  # while packages are imported
            found = registry.find(model) if isinstance(model, str) else model_of(model)
    except UnknownNameError:
        if not isinstance(model, str) or not is_weights_file(model):
            raise
        return _lower_bound(forecast(trace_stored_weights(Path(model).expanduser(), workload), card, workload))
    worst, summary = for_worst_batch(data, with_backend(workload, found), found, progress=report)
    return msgspec.structs.replace(_traced_and_forecast(found, worst, card, report), data=summary)


def _traced_and_forecast(model: Model, workload: Workload, card: GpuSpec | None, progress: Progress) -> Estimate:
    """Forecast from a trace of the model; from what is certain where it is too large to be traced."""
    backend = backend_of(workload)
    capability = card.compute_capability if card else None
    try:
        found = forecast(backend.trace(model, workload, capability, progress), card, workload)
    except TooLargeError as reason:
        from vramcast.backends.eager.lower_bound import trace_lower_bound  # torch, which is there by now

        least = _lower_bound(forecast(trace_lower_bound(model, workload, reason), card, workload))
        if least.fits:  # which a lower bound cannot say
            raise
        return least
    if not has_targets(model.task, workload):
        return found
    more = with_more_targets(found, workload)
    try:
        trace = backend.trace(model, more, capability, progress)
    except TooLargeError:  # more objects than can be drawn
        return found
    return msgspec.structs.replace(found, bytes_per_target=bytes_per_target(found, forecast(trace, card, more)))


def _lower_bound(found: Estimate) -> Estimate:
    """Take it as certain that what is too much does not fit, and as unknown whether the rest does."""
    confidence = None if found.fits is not False else 0.0
    return msgspec.structs.replace(found, confidence=confidence, verdict=verdict_of(found.fits, confidence))


def forecast(trace: Trace, gpu: str | GpuSpec | None = None, workload: Workload | None = None) -> Estimate:
    """Forecast from a trace, whether a card is enough for it: nothing is traced again, and torch is not needed.

    The scratch of kernels is added for the card, unless the trace has it already: one taken from an estimate, or measured.
    `workload` says what was traced, and how the allocator is set; None: what the trace shows of it.

    Raises:
        UsageError: an unknown or ambiguous card, an illegal allocator option.
    """
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    if workload is None:
        workload, trace = _shown_by(trace), trace.with_caveats(_UNKNOWN_WORKLOAD)
    return Served.on(trace, card, workload).answer()


_UNKNOWN_WORKLOAD = Caveat(
    "What was traced is known by its trace alone: of the workload, only mode and steps are stated; the other fields are defaults."
)


def _shown_by(trace: Trace) -> Workload:
    mode: Mode = "train" if any(phase.name == "backward" for phase in trace.phases) else "infer"
    return Workload(mode=mode, steps=max(1, 1 + max(phase.step for phase in trace.phases)))
