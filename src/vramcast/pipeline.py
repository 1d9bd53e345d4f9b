"""Model, workload and card in, answer out: the one place where everything meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vramcast import breakdown
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.footprint import CaveatNote, Estimate, GpuSummary, ModelSummary, Peak
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.context import ContextRange, context_bytes
from vramcast.gpu.spec import GpuSpec
from vramcast.sources import registry
from vramcast.timeline import Timeline
from vramcast.trace import Trace
from vramcast.units import format_gib
from vramcast.version import __version__
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack

if TYPE_CHECKING:
    from torch import nn

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Forecast:
    """An answer, with what it was drawn from."""

    estimate: Estimate
    trace: Trace
    timeline: Timeline


def estimate(model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec | None = None, *, progress: Progress | None = None) -> Forecast:
    """Forecast what a model needs under a workload, and whether a card has it.

    Raises:
        UsageError: an unknown or ambiguous name, a missing extra, an unreadable file.
        ModelError: the model cannot be built or run.
        UntraceableError: an operator cannot be followed without a GPU.
    """
    from vramcast.backends.eager import trace_program

    card = resolve(gpu) if isinstance(gpu, str) else gpu
    config = AllocatorConfig.parse(workload.allocator)
    capability = card.compute_capability if card else None
    trace = trace_program(registry.find(model), workload, capability, progress or (lambda _: None))
    return forecast(insert_scratch(trace, stack_of(card, workload)), workload, card, config)


def stack_of(card: GpuSpec | None, workload: Workload) -> Stack:
    """Return the card's architecture and the library settings that decide what scratch kernels take."""
    assumed = Stack()
    return Stack(
        compute_capability=card.compute_capability or assumed.compute_capability if card else assumed.compute_capability,
        sm_count=card.sm_count or assumed.sm_count if card else assumed.sm_count,
        cudnn_benchmark=workload.cudnn_benchmark,
    )


def forecast(trace: Trace, workload: Workload, card: GpuSpec | None, config: AllocatorConfig) -> Forecast:
    """Forecast from a trace: nothing is traced again, and torch is not needed."""
    context = context_bytes(card)
    wanted = replay(trace, config)
    timeline, failure = wanted, None
    if card is not None and wanted.peak_reserved + context.typical > card.usable_bytes:
        limited = replay(trace, config, limit=max(card.usable_bytes - context.typical, 0), device_memory=card.usable_bytes)
        if limited.out_of_memory is None:
            timeline = limited
        else:
            failure = _failure(trace, limited)
    return Forecast(_estimate(trace, timeline, workload, card, context, failure), trace, timeline)


def _estimate(trace: Trace, timeline: Timeline, workload: Workload, card: GpuSpec | None, context: ContextRange, failure: str | None) -> Estimate:
    event = timeline.peak_event()
    step, phase, module, operator = breakdown.step_phase_module_operator(trace, event)
    device = timeline.peak_reserved + context.typical
    driver = card.memory_bytes - card.usable_bytes if card else 0
    peak = Peak(
        allocated_bytes=timeline.peak_allocated, reserved_bytes=timeline.peak_reserved, device_bytes=device,
        low_bytes=timeline.peak_reserved + context.low, high_bytes=timeline.peak_reserved + context.high,
        step=step, phase=phase, module=module, operator=operator,
    )  # fmt: skip
    return Estimate(
        vramcast=__version__,
        model=ModelSummary(
            name=trace.subject.name, source=trace.subject.source, parameters=trace.subject.parameters,
            trainable_parameters=trace.subject.trainable_parameters,
        ),
        workload=workload.as_dict(),
        preset={},
        gpu=_gpu(card, context),
        peak=peak,
        phases=breakdown.phase_peaks(trace, timeline, context.typical),
        components=breakdown.components(trace, timeline, event, context.typical),
        ladder=breakdown.ladder(trace, timeline, event, context.typical, driver),
        modules=breakdown.modules(trace, timeline, event),
        operators=breakdown.operators(trace, timeline, event),
        bytes_per_target=None,
        fits=None if card is None else failure is None,
        headroom_bytes=None if card is None else card.usable_bytes - device,
        out_of_memory=failure,
        caveats=tuple(CaveatNote(message=caveat.message, bound_bytes=caveat.bound_bytes) for caveat in trace.caveats),
    )  # fmt: skip


def _gpu(card: GpuSpec | None, context: ContextRange) -> GpuSummary | None:
    if card is None:
        return None
    capability = card.compute_capability
    return GpuSummary(
        name=card.name,
        memory_bytes=card.memory_bytes,
        usable_bytes=card.usable_bytes,
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        context_bytes=context.typical,
    )


def _failure(trace: Trace, limited: Timeline) -> str:
    """Say which request fails, as torch's message would, and where."""
    shortage = limited.out_of_memory
    assert shortage is not None
    step, phase, module, operator = breakdown.step_phase_module_operator(trace, shortage.event)
    where = f" in module {module}" if module else ""
    return (
        f"{operator}{where} ({phase}, step {step}) asks for {format_gib(shortage.requested)} "
        f"with {format_gib(shortage.reserved)} reserved already"
    )
