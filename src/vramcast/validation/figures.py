"""What is kept of a forecast: every figure a measurement may be compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from vramcast import footprint
from vramcast.breakdown import STEADY
from vramcast.gpu.spec import GpuSpec
from vramcast.workload import Workload


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The peak of a forecast; sizes in bytes."""

    allocated_bytes: int
    """`torch.cuda.max_memory_allocated`."""
    reserved_bytes: int
    """`torch.cuda.max_memory_reserved`."""
    context_bytes: int
    """What the process holds beside torch's allocator; nvidia-smi shows it and the reserved bytes together."""
    steady_reserved_bytes: int | None = None
    """The peak of reserved bytes from the second step on, where there is one: what a monitor that polls sees of a run."""
    weights_bytes: int = 0
    """Weights of an engine."""
    activation_bytes: int = 0
    """The plan of an execution context, scratch included."""
    phase: str = ""
    """Phase of the run that sets the peak."""
    caveats: tuple[str, ...] = ()


class Forecaster(Protocol):
    """Who forecasts what a set wants to know. Raises as `vramcast.estimate`."""

    def of_model(self, model: str, workload: Workload, gpu: str | GpuSpec) -> Figures:
        """Forecast a model under a workload."""
        ...

    def of_program(self, program: Callable[[], None], model: str, workload: Workload, gpu: str) -> Figures:
        """Forecast code that is written for a GPU; model and workload say what it runs."""
        ...


class AsUser:
    """Forecasts as a user's own call would."""

    def of_model(self, model: str, workload: Workload, gpu: str | GpuSpec) -> Figures:
        """Ask as `vramcast estimate` does."""
        from vramcast.pipeline import estimate

        return figures_of(estimate(model, workload, gpu))

    def of_program(self, program: Callable[[], None], model: str, workload: Workload, gpu: str) -> Figures:
        """Trace it as `vramcast.trace` does."""
        import vramcast

        with vramcast.trace(gpu=gpu) as run:
            program()
        return figures_of(vramcast.forecast(run.trace, gpu, workload))


AS_USER = AsUser()


def steady_reserved_bytes(phases: Sequence[footprint.PhasePeak]) -> int | None:
    """Return the peak of reserved bytes from the second step on; None where there is no second step."""
    return next((phase.reserved_bytes for phase in phases if phase.name == STEADY), None)


def figures_of(answer: footprint.Estimate) -> Figures:
    """Return what is kept of an answer."""
    peak = answer.peak
    return Figures(
        allocated_bytes=peak.allocated_bytes,
        reserved_bytes=peak.reserved_bytes,
        context_bytes=peak.device_bytes - peak.reserved_bytes,
        steady_reserved_bytes=steady_reserved_bytes(answer.phases),
        phase=peak.phase,
        caveats=tuple(caveat.message for caveat in answer.caveats),
    )
