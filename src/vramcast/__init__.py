"""vramcast forecasts GPU memory without a GPU.

    import vramcast

    estimate = vramcast.estimate("torchvision:resnet50", vramcast.Workload.train(batch=64, precision="amp-fp16"), gpu="rtx 4090")
    estimate.fits, estimate.peak.reserved_bytes, estimate.components

    vramcast.fit("torchvision:resnet50", vramcast.Workload.train(precision="amp-fp16"), "rtx 4090").batch

    with vramcast.trace(gpu="rtx 4090") as run:
        main()  # your own training code, written for a GPU
    vramcast.forecast(run.trace, gpu="rtx 4090")

Importing vramcast loads neither torch nor NumPy: each name is looked up when it is first used.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vramcast.advice.advise import advise
    from vramcast.advice.answer import Advice
    from vramcast.answer import Estimate
    from vramcast.data import DataSet, read_data
    from vramcast.errors import ForecastError, ModelError, UntraceableError, UsageError, VramcastError, WorkloadError
    from vramcast.family import TraceFamily, load_family, save_family
    from vramcast.gpu.spec import GpuSpec
    from vramcast.lora_options import Lora
    from vramcast.pipeline import estimate, forecast
    from vramcast.snapshot import load_snapshot
    from vramcast.solvers.cards import CardVerdict, CardVerdicts, gpus_for
    from vramcast.solvers.families import trace_family
    from vramcast.solvers.fit import fit
    from vramcast.solvers.limits import Fit
    from vramcast.solvers.sweep.run import sweep
    from vramcast.study.backends import BackendComparison, compare_backends
    from vramcast.study.compare import ModelComparison, compare
    from vramcast.study.models.findings import Study
    from vramcast.study.models.study import study
    from vramcast.study.response import Sensitivity
    from vramcast.study.sensitivity import sensitivity
    from vramcast.timeline import Timeline
    from vramcast.trace import Component, Trace
    from vramcast.trace_file import load_trace, save_trace
    from vramcast.tracing.user_code import trace
    from vramcast.version import __version__
    from vramcast.workload import Validation, Workload

_HOMES = {
    "advice.advise": ("advise",),
    "advice.answer": ("Advice",),
    "answer": ("Estimate",),
    "data": ("DataSet", "read_data"),
    "errors": ("ForecastError", "ModelError", "UntraceableError", "UsageError", "VramcastError", "WorkloadError"),
    "family": ("TraceFamily", "load_family", "save_family"),
    "gpu.spec": ("GpuSpec",),
    "lora_options": ("Lora",),
    "pipeline": ("estimate", "forecast"),
    "snapshot": ("load_snapshot",),
    "solvers.cards": ("CardVerdict", "CardVerdicts", "gpus_for"),
    "solvers.families": ("trace_family",),
    "solvers.fit": ("fit",),
    "solvers.limits": ("Fit",),
    "solvers.sweep.run": ("sweep",),
    "study.backends": ("BackendComparison", "compare_backends"),
    "study.compare": ("ModelComparison", "compare"),
    "study.models.findings": ("Study",),
    "study.models.study": ("study",),
    "study.response": ("Sensitivity",),
    "study.sensitivity": ("sensitivity",),
    "timeline": ("Timeline",),
    "trace": ("Component", "Trace"),
    "trace_file": ("load_trace", "save_trace"),
    "tracing.user_code": ("trace",),
    "version": ("__version__",),
    "workload": ("Validation", "Workload"),
}
"""Module -> the public names that are found there."""
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Advice",
    "BackendComparison",
    "CardVerdict",
    "CardVerdicts",
    "Component",
    "DataSet",
    "Estimate",
    "Fit",
    "ForecastError",
    "GpuSpec",
    "Lora",
    "ModelComparison",
    "ModelError",
    "Sensitivity",
    "Study",
    "Timeline",
    "Trace",
    "TraceFamily",
    "UntraceableError",
    "UsageError",
    "Validation",
    "VramcastError",
    "Workload",
    "WorkloadError",
    "__version__",
    "advise",
    "compare",
    "compare_backends",
    "estimate",
    "fit",
    "forecast",
    "gpus_for",
    "load_family",
    "load_snapshot",
    "load_trace",
    "read_data",
    "save_family",
    "save_trace",
    "sensitivity",
    "study",
    "sweep",
    "trace",
    "trace_family",
]


def __getattr__(name: str) -> Any:
    """Find a public name where it lives (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)


class _Face(ModuleType):
    """Keeps `vramcast.trace` and `vramcast.study` the functions: importing the modules of these names would put themselves in their place."""

    @property
    def trace(self) -> Any:
        return __getattr__("trace")

    @trace.setter
    def trace(self, submodule: ModuleType) -> None:
        """Leave the submodule to `from vramcast.trace import …`."""

    @property
    def study(self) -> Any:
        return __getattr__("study")

    @study.setter
    def study(self, submodule: ModuleType) -> None:
        """Leave the room to `from vramcast.study.compare import …`."""


sys.modules[__name__].__class__ = _Face
