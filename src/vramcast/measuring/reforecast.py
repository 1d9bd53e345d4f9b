"""Forecasts to be held against measurements: the same program, on meta tensors, for the same card and the same switches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vramcast import footprint
from vramcast.answer import Estimate
from vramcast.gpu.catalogue import find
from vramcast.gpu.spec import GpuSpec
from vramcast.measurement import Measurement
from vramcast.pipeline import estimate as forecast_model
from vramcast.pipeline import forecast, stack_of
from vramcast.sources import registry
from vramcast.trace import Trace
from vramcast.workload import make
from vramcast.workspace.insert import insert_scratch


def reforecast(measurement: Measurement, progress: Callable[[str], None]) -> Estimate:
    """Forecast what a measurement measured.

    The card is described by what was read from it; TF32 in convolutions is as it was in the run, not as a forecast assumes.

    Raises:
        UsageError: the model is not to be had here.
        ForecastError: it cannot be traced.
    """
    # torch, which nothing else here needs
    from vramcast.backends.batching import trace_workload

    card, workload = card_of(measurement), measurement.workload
    trace = trace_workload(registry.find(measurement.model), workload, card.compute_capability, progress)
    return forecast(with_scratch(trace, measurement), card, workload)


def trace_again(estimate: footprint.Estimate, progress: Callable[[str], None]) -> Trace | None:
    """Return the events of a forecast of which only the answer was kept; None where this version's answer is another.

    Raises as `pipeline.estimate`.
    """
    known = estimate.gpu is not None and estimate.gpu.compute_capability is not None
    card = find(estimate.gpu.name) if known and estimate.gpu is not None else None
    again = forecast_model(f"{estimate.model.source}:{estimate.model.name}", make(dict(estimate.workload)), card, progress=progress)
    is_same = (again.peak.allocated_bytes, again.peak.reserved_bytes) == (estimate.peak.allocated_bytes, estimate.peak.reserved_bytes)
    return again.trace if is_same else None


def with_scratch(trace: Trace, measurement: Measurement) -> Trace:
    """Return the trace with the scratch of kernels on the measured card, under the measured switches."""
    stack = stack_of(card_of(measurement), measurement.workload)
    return insert_scratch(
        trace,
        replace(
            stack,
            allow_tf32=measurement.switches.cudnn_allow_tf32,
            torch_version=measurement.software.torch_version or stack.torch_version,
            device_memory=measurement.card.usable_bytes,
        ),
    )


def card_of(measurement: Measurement) -> GpuSpec:
    """Return the measured card as a forecast knows cards."""
    card = measurement.card
    return GpuSpec(
        name=card.name, vendor="nvidia", memory_bytes=card.memory_bytes, usable_bytes=card.usable_bytes, compute_capability=card.compute_capability,
        sm_count=card.sm_count, source="read from the card", usable_is_measured=True,
    )  # fmt: skip
