"""One program, run for real, and what it took: the counterpart of `backends/eager.py`, which runs the same program on meta tensors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn

from vramcast.errors import InvalidFileError, ModelError, VramcastError, WorkloadError
from vramcast.measurement import DeviceReading, MeasuredCard, Measurement, Outcome, Software, Switches
from vramcast.measurement_file import with_trace
from vramcast.measuring.card_probe import CardProbe
from vramcast.measuring.elsewhere import placed_on
from vramcast.measuring.meters import Meters, Stacks
from vramcast.measuring.sampler import Sampler, largest
from vramcast.measuring.switches import switched, wanted
from vramcast.program.prepare import prepare
from vramcast.program.run import run
from vramcast.program.sizes import check_sizes
from vramcast.snapshot import read_peak_reserved, read_snapshot
from vramcast.sources.interface import Model
from vramcast.trace import Subject, Trace
from vramcast.version import __version__
from vramcast.workload import Workload

MOST_EVENTS = 1_000_000
"""Events that the recorder keeps; of a longer run only the last, which a trace cannot begin with."""
_ALLOCATION_FAILED = ("CUDA out of memory", "out of memory", "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED")
"""What libraries say in place of `torch.OutOfMemoryError` when they get no memory of their own."""
_NO_MARKS = "The trace has no phases and no modules: this torch cannot mark the allocator's events (2.13 can)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be measured."""

    id: str
    model: str
    """Full name."""
    workload: Workload
    stacks: Stacks = "python"


@dataclass(frozen=True, slots=True)
class _Ended:
    """How the program ended, and the snapshot taken while it still held what it held."""

    outcome: Outcome
    message: str
    snapshot: object


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known of card and process beside the program."""

    card: MeasuredCard
    software: Software
    switches: Switches
    before: DeviceReading
    after_context: DeviceReading
    peak: DeviceReading
    seconds: float


def build(model: Model, workload: Workload) -> nn.Module:
    """Build the module on the host, with the random weights of its constructor; `prepare` brings it to the card.

    Raises:
        ModelError: the model cannot be built.
        WorkloadError: the workload does not go with this model.
    """
    check_sizes(model, workload)
    torch.manual_seed(workload.seed)
    try:
        _check_is_measured(model, workload)
        return model.build(workload.classes)
    except VramcastError:
        raise
    except Exception as error:
        raise ModelError(f"{model.source}:{model.name} could not be built: {type(error).__name__}: {error}") from error


def _check_is_measured(model: Model, workload: Workload) -> None:
    """Refuse what is forecast by layers that stand for another library's."""
    if workload.weights or model.weights or model.packed:
        raise WorkloadError("packed weights are forecast, but not measured: the libraries' own kernels are not run. Leave --weights out.")
    if workload.backend not in (None, "eager"):
        raise WorkloadError(f"backend {workload.backend!r} is forecast, but not measured: only eager PyTorch is run.")
    if workload.cuda_graphs:
        raise WorkloadError("cuda_graphs are forecast, but not measured: leave them out.")


def measure(asked: Asked, model: Model, module: nn.Module, meters: Meters) -> Measurement:
    """Run the workload's program over a module that `build` made, and return what it took.

    Running out of memory is an outcome, as is any other error of the program; what was measured until then is kept.

    Raises:
        UsageError: there is no such device, or the workload does not go with this model.
    """
    before = meters.device_memory()
    meters.start()
    after_context, card = meters.device_memory(), meters.card()
    probe = CardProbe(meters)
    begin = time.perf_counter()
    with switched(wanted(asked.workload)) as switches, placed_on(meters.device), Sampler(meters.device_memory) as sampler:
        meters.record(MOST_EVENTS, asked.stacks)
        meters.reset_peaks()
        ended = _run(asked, model, module, meters, probe)
    seconds = time.perf_counter() - begin
    peak = largest([sampler.peak, *(reading.device for reading in probe.readings)])
    measured = _described(asked, module, probe, ended, _Facts(card, meters.software(), switches, before, after_context, peak, seconds))
    return _with_snapshot(measured, ended.snapshot)


def _run(asked: Asked, model: Model, module: nn.Module, meters: Meters, probe: CardProbe) -> _Ended:
    """Run the program; the snapshot is taken before anything it holds goes."""
    outcome: Outcome = "ok"
    message = ""
    held: Any = None
    try:
        with probe.follow():
            held = run(prepare(module, model, asked.workload, probe), probe)
    except VramcastError:
        raise
    except Exception as error:  # what a program can raise is without end, and each is a result
        outcome = "out_of_memory" if is_out_of_memory(error) else "failed"
        message = f"{type(error).__name__}: {error}"
        return _Ended(outcome, message, _finished(meters, probe))
    snapshot = _finished(meters, probe)
    del held
    return _Ended(outcome, message, snapshot)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the card is full, whoever says it."""
    return isinstance(error, torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and any(text in str(error) for text in _ALLOCATION_FAILED))


def _finished(meters: Meters, probe: CardProbe) -> object:
    """Return the snapshot; None where the card answers no more, which some errors bring about."""
    try:
        probe.finish()
        return meters.snapshot()
    except RuntimeError as error:
        probe.caveat(f"After the error the card answered no more: {error}")
        return None


def _described(asked: Asked, module: nn.Module, probe: CardProbe, ended: _Ended, facts: _Facts) -> Measurement:
    parameters = list(module.parameters())
    return Measurement(
        vramcast=__version__, id=asked.id, model=asked.model,
        parameters=sum(parameter.numel() for parameter in parameters),
        trainable_parameters=sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        workload=asked.workload, card=facts.card, software=facts.software, switches=facts.switches,
        outcome=ended.outcome, message=ended.message,
        max_memory_allocated_bytes=max((reading.peak_allocated_bytes for reading in probe.readings), default=0),
        max_memory_reserved_bytes=max((reading.peak_reserved_bytes for reading in probe.readings), default=0),
        num_alloc_retries=probe.num_alloc_retries, before=facts.before, after_context=facts.after_context, peak=facts.peak,
        phases=tuple(probe.readings), seconds=round(facts.seconds, 3), notes=tuple(probe.notes),
    )  # fmt: skip


def _with_snapshot(measured: Measurement, snapshot: object) -> Measurement:
    """Return the measurement with its trace, and with notes on what is wrong or missing in it."""
    subject = Subject(measured.model.partition(":")[2], measured.model.partition(":")[0], measured.parameters, measured.trainable_parameters)
    try:
        # An option of the allocator gives segments back before it asks for more, which is the replay's business as a retry is.
        may_have_retried = measured.num_alloc_retries > 0 or "garbage_collection_threshold" in measured.workload.allocator
        trace = read_snapshot(snapshot, subject, may_have_retried=may_have_retried)
        recorded = read_peak_reserved(snapshot)
    except InvalidFileError as error:
        return _noted(measured, f"There is no trace: {error}")
    return with_trace(_noted(measured, *_notes_on(trace, recorded, measured)), trace)


def _notes_on(trace: Trace, recorded: int, measured: Measurement) -> list[str]:
    notes = []
    if len(trace) >= MOST_EVENTS:
        notes.append(f"The run has more events than the {MOST_EVENTS:,} that are kept; the trace is its end.")
    if recorded != measured.max_memory_reserved_bytes:
        notes.append(f"The snapshot's segments come to {recorded} bytes at most, torch's counter to {measured.max_memory_reserved_bytes}.")
    if not any(phase.name == "forward" for phase in trace.phases):
        notes.append(_NO_MARKS)
    return notes


def _noted(measured: Measurement, *notes: str) -> Measurement:
    return msgspec.structs.replace(measured, notes=(*measured.notes, *notes))
