"""One model under many workloads: what differs only in the allocator or in cuDNN's choice of kernels shares a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vramcast.answer import Estimate
from vramcast.backends.registry import backend_of, with_backend
from vramcast.closed_form import is_count, trace_parameters
from vramcast.errors import TooLargeError
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress, forecast
from vramcast.sources import registry
from vramcast.sources.python_object import model_of
from vramcast.trace import Trace
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from vramcast.sources.interface import Model


@dataclass(slots=True)
class Workloads:
    """Forecasts a model under one workload after another, tracing it no more often than it has to."""

    model: Model | str
    """A number of parameters is a text."""
    card: GpuSpec | None
    progress: Progress = lambda _: None
    _traces: dict[str, Trace] = field(default_factory=dict)
    _estimates: dict[str, Estimate] = field(default_factory=dict)

    def estimate(self, workload: Workload, doing: str = "") -> Estimate:
        """Return the forecast; `doing` is what is shown meanwhile.

        Raises:
            UsageError: the workload does not go with the model.
            ModelError, UntraceableError: as `pipeline.estimate`.
        """
        workload = with_backend(workload, self.model)
        key = repr(workload)
        if key not in self._estimates:
            self._estimates[key] = self._made(workload, doing)
        return self._estimates[key]

    def _made(self, workload: Workload, doing: str) -> Estimate:
        if isinstance(self.model, str):
            return forecast(trace_parameters(self.model, workload), self.card, workload)
        try:
            return forecast(self._trace(self.model, workload, doing), self.card, workload)
        except TooLargeError as reason:
            from vramcast.backends.eager.lower_bound import trace_lower_bound  # torch, which is there by now

            least = forecast(trace_lower_bound(self.model, workload, reason), self.card, workload)
            if least.fits:  # which a lower bound cannot say
                raise
            return least

    def _trace(self, model: Model, workload: Workload, doing: str) -> Trace:

        key = repr(workload.with_fields(allocator="", cudnn_benchmark=False))  # which only replay and scratch depend on
        if key not in self._traces:
            self.progress(f"tracing {model.name}{': ' if doing else ''}{doing}")
            capability = self.card.compute_capability if self.card else None
            self._traces[key] = backend_of(workload).trace(model, workload, capability, lambda _: None)
        return self._traces[key]


def model_or_count(model: str | nn.Module | Callable[[], nn.Module]) -> Model | str:
    """Return the model; a number of parameters stays what it is.

    Raises:
        UsageError: an unknown name, a missing extra, an unreadable file.
    """
    if not isinstance(model, str):
        return model_of(model)
    return model if is_count(model) else registry.find(model)
