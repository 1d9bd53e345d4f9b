"""`vramcast.compare_backends`: one workload on every backend, component by component, and why they differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from vramcast.answer import Estimate
from vramcast.backends import registry
from vramcast.errors import ForecastError, UnknownNameError, UsageError, VramcastError, WorkloadError
from vramcast.footprint import CaveatNote, GpuSummary, ModelSummary, Peak
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress, estimate
from vramcast.solvers.fullest import components_at_fullest
from vramcast.study.backend_reasons import reasons
from vramcast.trace import Component, Trace
from vramcast.verdict import Verdict
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

_MADE = (Component.ACTIVATIONS, Component.TEMPORARIES, Component.OUTPUTS)


class BackendSide(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. All sizes are bytes (`int`)."""

    backend: str
    peak: Peak | None = None
    fits: bool | None = None
    verdict: Verdict | None = None
    """As in an estimate."""
    confidence: float | None = None
    headroom_bytes: int | None = None
    components: dict[str, int] = {}
    """Where most is allocated; what is reserved beyond that at the peak is `reserved_unallocated`. They add up to `peak.device_bytes`."""
    made_tensors: int = 0
    """Tensors that the last step makes: activations, temporaries, outputs."""
    made_bytes: int = 0
    """Their bytes, all together; they do not live at once."""
    why: tuple[str, ...] = ()
    """Why it differs from the first backend that was forecast, in sentences; empty for that one."""
    caveats: tuple[CaveatNote, ...] = ()
    error: str | None = None
    """Why there is no forecast."""


class BackendComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One workload on several backends."""

    schema: str = "vramcast/backends-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    """As it was asked; each side runs it on its own backend."""
    gpu: GpuSummary | None
    sides: tuple[BackendSide, ...]
    """In the order asked."""


def compare_backends(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec | None = None, *,
    backends: Sequence[str] = (), progress: Progress | None = None,
) -> BackendComparison:  # fmt: skip
    """Forecast a workload on each of `backends`, or on all of them. One that cannot run it says why, and the others go on.

    Raises:
        UsageError: an unknown model, card or backend.
        WorkloadError, ModelError, UntraceableError: no backend can be forecast; the error is the first one's.
    """
    names = _named(backends)
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    report = progress or (lambda _: None)
    made: dict[str, Estimate] = {}
    errors: dict[str, VramcastError] = {}
    for name in names:
        try:
            made[name] = estimate(model, workload.with_fields(backend=name), card, progress=lambda stage, name=name: report(f"{name}: {stage}"))  # type: ignore[misc]
        except (ForecastError, WorkloadError) as error:
            errors[name] = error
    if not made:
        raise errors[names[0]]
    first = next(iter(made.items()))
    sides = tuple(_side(name, made[name], first) if name in made else BackendSide(backend=name, error=str(errors[name])) for name in names)
    return BackendComparison(vramcast=__version__, model=first[1].model, workload=workload.as_dict(), gpu=first[1].gpu, sides=sides)


def _named(backends: Sequence[str]) -> tuple[str, ...]:
    known = registry.names()
    for name in backends:
        if name not in known:
            raise UnknownNameError("backend", name, known, hint=f"Legal: {', '.join(known)}.")
    if len(set(backends)) < len(backends):
        raise UsageError(f"backends {', '.join(backends)} name one of them twice; name each once.")
    return tuple(backends) or known


def _side(name: str, found: Estimate, first: tuple[str, Estimate]) -> BackendSide:
    components = components_at_fullest(found)
    count, size = made_in_last_step(found.trace)
    why = () if name == first[0] else tuple(reasons(name, components, components_at_fullest(first[1])))
    return BackendSide(
        backend=name, peak=found.peak, fits=found.fits, verdict=found.verdict, confidence=found.confidence,
        headroom_bytes=found.headroom_bytes, components=components,
        made_tensors=count, made_bytes=size, why=why, caveats=found.caveats,
    )  # fmt: skip


def made_in_last_step(trace: Trace) -> tuple[int, int]:
    """Return how many tensors the last step makes, and their requested bytes."""
    steps = np.array([phase.step for phase in trace.phases], np.int64)
    born = steps[trace.operation_phases[trace.operations[trace.allocated_at]]]
    is_made = np.isin(trace.components, _MADE)
    chosen = is_made & (born == born[is_made].max(initial=0))
    return int(chosen.sum()), int(trace.sizes[chosen].sum())
