"""Forecasts to be held against measurements: the same program, on meta tensors, for the same card, torch and switches."""

from __future__ import annotations

from collections.abc import Callable

from vramcast import footprint
from vramcast.answer import Estimate
from vramcast.environment import Environment, ModuleLoading
from vramcast.gpu.catalogue import find
from vramcast.gpu.spec import GpuSpec
from vramcast.measurement import MeasuredCard, Measurement
from vramcast.pipeline import estimate as forecast_model
from vramcast.trace import Trace
from vramcast.workload import Workload, make

_LOADING: dict[str, ModuleLoading] = {"LAZY": "lazy", "EAGER": "eager"}
"""Values of `CUDA_MODULE_LOADING` (CUDA programming guide, "Lazy Loading")."""


def reforecast(measurement: Measurement, progress: Callable[[str], None]) -> Estimate:
    """Forecast what a measurement measured. Raises as `pipeline.estimate`."""
    return forecast_model(measurement.model, workload_of(measurement), card_of(measurement.card), progress=progress)


def trace_again(estimate: footprint.Estimate, progress: Callable[[str], None]) -> Trace | None:
    """Return the events of a forecast of which only the answer was kept; None where this version's answer is another.

    Raises as `pipeline.estimate`.
    """
    known = estimate.gpu is not None and estimate.gpu.compute_capability is not None
    card = find(estimate.gpu.name) if known and estimate.gpu is not None else None
    again = forecast_model(f"{estimate.model.source}:{estimate.model.name}", make(dict(estimate.workload)), card, progress=progress)
    is_same = (again.peak.allocated_bytes, again.peak.reserved_bytes) == (estimate.peak.allocated_bytes, estimate.peak.reserved_bytes)
    return again.trace if is_same else None


def workload_of(measurement: Measurement) -> Workload:
    """Return what ran: the workload that was asked for, with the torch, the switches and the variables that the process really had.

    Raises:
        WorkloadError: a version of torch, or a setting, that a forecast does not know.
    """
    asked, software, switches = measurement.workload, measurement.software, measurement.switches
    environment = Environment(
        torch=software.packages.get("torch", asked.environment.torch),
        module_loading=_LOADING.get(software.variables.get("CUDA_MODULE_LOADING", ""), asked.environment.module_loading),
        deterministic=switches.deterministic_algorithms,
        cublas_workspace=software.variables.get("CUBLAS_WORKSPACE_CONFIG"),
        cudnn_tf32=switches.cudnn_allow_tf32,
    )
    return asked.with_fields(environment=environment, cudnn_benchmark=switches.cudnn_benchmark)


def card_of(card: MeasuredCard) -> GpuSpec:
    """Return a measured card as a forecast knows cards."""
    return GpuSpec(
        name=card.name, vendor="nvidia", memory_bytes=card.memory_bytes, usable_bytes=card.usable_bytes, compute_capability=card.compute_capability,
        sm_count=card.sm_count, source="read from the card", usable_is_measured=True,
    )  # fmt: skip
