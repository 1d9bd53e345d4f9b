"""Forecasts from traces without scratch that are kept in files: made once, then given the scratch of any parameters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vramcast.backends.registry import backend_of
from vramcast.breakdown import phase_peaks
from vramcast.errors import InvalidFileError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.served import Served
from vramcast.sources import registry
from vramcast.trace import Trace
from vramcast.trace_file import load_trace, save_trace
from vramcast.validation.case import CaseSet
from vramcast.validation.figures import Figures, steady_reserved_bytes
from vramcast.validation.fingerprint import trace_fingerprint
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.scratch import Rule
from vramcast.workspace.stack import stack_of


def default_folder() -> Path:
    """Return where traces are kept: in the user's cache (XDG Base Directory Specification 0.8)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "vramcast", "traces")


@dataclass(frozen=True)
class FromKeptTraces:
    """A `Forecaster` for one set of cases. Raises as the backend's `trace`, and `OutputError` where a trace cannot be kept."""

    case_set: CaseSet
    folder: Path
    rules: Mapping[str, Rule]
    """Of the scratch that is inserted."""
    remembered: dict[str, Trace] | None = field(default=None)
    """Traces by fingerprint that stay in memory; None: each is read anew."""

    def of_model(self, model: str, workload: Workload, gpu: str | GpuSpec) -> Figures:
        """Forecast a model under a workload."""
        card = resolve(gpu) if isinstance(gpu, str) else gpu

        def make() -> Trace:
            return backend_of(workload).trace(registry.find(model), workload, card.compute_capability, _silent)

        return self._figures(self._trace(trace_fingerprint(self.case_set, model, workload, gpu), make), workload, card)

    def of_program(self, program: Callable[[], None], model: str, workload: Workload, gpu: str) -> Figures:
        """Forecast code that is written for a GPU."""

        def make() -> Trace:
            import vramcast

            with vramcast.trace(gpu=gpu) as run:
                program()
            return run.trace

        return self._figures(self._trace(trace_fingerprint(self.case_set, model, workload, gpu), make), workload, resolve(gpu))

    def _trace(self, key: str, make: Callable[[], Trace]) -> Trace:
        if self.remembered is not None and key in self.remembered:
            return self.remembered[key]
        trace = _kept(self.folder / f"{key}.trace", make)
        if self.remembered is not None:
            self.remembered[key] = trace
        return trace

    def _figures(self, trace: Trace, workload: Workload, card: GpuSpec) -> Figures:
        served = Served(insert_scratch(trace, stack_of(card, workload), self.rules), workload, card)
        timeline = served.limited if served.fits else served.wanted
        return Figures(
            allocated_bytes=timeline.peak_allocated, reserved_bytes=timeline.peak_reserved, context_bytes=served.context.typical,
            steady_reserved_bytes=steady_reserved_bytes(phase_peaks(served.trace, timeline, served.context.typical)),
        )  # fmt: skip


def _kept(path: Path, make: Callable[[], Trace]) -> Trace:
    """Read a trace, or make it and keep it; what is damaged is made anew."""
    if path.exists():
        try:
            return load_trace(path)
        except InvalidFileError:
            pass
    trace = make()
    save_trace(trace, path)
    return trace


def _silent(stage: str) -> None: ...
