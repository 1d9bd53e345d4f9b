"""One side of a comparison: its figures, and its events where it has them. Sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vramcast.allocator.config import AllocatorConfig
from vramcast.breakdown import CONTEXT, run_phase
from vramcast.footprint import Estimate
from vramcast.measurement import Measurement
from vramcast.trace import Phase, Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A forecast or a measurement, by the figures both have."""

    name: str
    """Where it comes from, in words."""
    reserved_bytes: int
    """`torch.cuda.max_memory_reserved`."""
    allocated_bytes: int | None = None
    """`torch.cuda.max_memory_allocated`; a snapshot alone does not tell."""
    context_bytes: int | None = None
    process_bytes: int | None = None
    phases: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Phase of the run -> its peaks, allocated and reserved."""
    trace: Trace | None = None
    allocator: AllocatorConfig = field(default_factory=AllocatorConfig)
    limit: int | None = None
    """Bytes the allocator could have; None where it never came near."""
    notes: tuple[str, ...] = ()


def of_estimate(estimate: Estimate, trace: Trace | None, name: str) -> Side:
    """Return a forecast as a side."""
    return Side(
        name=name,
        reserved_bytes=estimate.peak.reserved_bytes,
        allocated_bytes=estimate.peak.allocated_bytes,
        context_bytes=estimate.components[CONTEXT],
        process_bytes=estimate.peak.device_bytes,
        phases={phase.name: (phase.allocated_bytes, phase.reserved_bytes) for phase in estimate.phases},
        trace=trace,
        allocator=AllocatorConfig.parse(str(estimate.workload.get("allocator") or "")),
        limit=estimate.gpu.usable_bytes - estimate.components[CONTEXT] if estimate.gpu and estimate.fits else None,
    )


def of_measurement(measurement: Measurement, name: str) -> Side:
    """Return a measurement as a side. Raises `InvalidFileError` when the trace in it is damaged."""
    context, retried = measurement.context_bytes, measurement.num_alloc_retries > 0
    notes = [] if measurement.outcome == "ok" else [f"The measured run ended early ({measurement.outcome}): {_first_line(measurement.message)}"]
    if measurement.method != "nvml process":
        notes.append(f"What the process held is known by another way than NVML's count for processes: {measurement.method}.")
    return Side(
        name=name,
        reserved_bytes=measurement.max_memory_reserved_bytes,
        allocated_bytes=measurement.max_memory_allocated_bytes,
        context_bytes=context,
        process_bytes=measurement.process_bytes(measurement.peak),
        phases=_phases(measurement),
        trace=measurement.read_trace(),
        allocator=AllocatorConfig.parse(measurement.workload.allocator),
        limit=measurement.card.usable_bytes - (context or 0) if retried else None,
        notes=(*notes, *measurement.notes),
    )


def of_trace(trace: Trace, reserved_bytes: int, name: str, allocator: AllocatorConfig) -> Side:
    """Return a trace, and the most segments recorded with it, as a side."""
    return Side(name=name, reserved_bytes=reserved_bytes, trace=trace, allocator=allocator, notes=tuple(caveat.message for caveat in trace.caveats))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _phases(measurement: Measurement) -> dict[str, tuple[int, int]]:
    peaks: dict[str, tuple[int, int]] = {}
    for reading in measurement.phases:
        name = run_phase(Phase(reading.name, reading.step))
        before = peaks.get(name, (0, 0))
        peaks[name] = (max(before[0], reading.peak_allocated_bytes), max(before[1], reading.peak_reserved_bytes))
    return peaks
