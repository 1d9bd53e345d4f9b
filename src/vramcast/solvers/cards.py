"""`vramcast.gpus_for`: which of the cards known would do, the smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from vramcast.answer import Estimate
from vramcast.backends.registry import backend_of
from vramcast.closed_form import is_count, trace_parameters
from vramcast.errors import ForecastError
from vramcast.gpu.catalogue import load
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress, forecast
from vramcast.solvers.limits import Figures, figures, may_fit, surely_fits
from vramcast.sources import registry
from vramcast.sources.python_object import model_of
from vramcast.trace import Trace
from vramcast.tracing.cuda.capability_groups import stands_for
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

Verdict = Literal["surely fits", "fits", "may fit", "does not fit", "does not run"]


class CardVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One card, and whether a workload fits on it. All sizes are bytes (`int`)."""

    gpu: str
    memory_bytes: int
    usable_bytes: int
    compute_capability: str | None
    verdict: Verdict
    """`surely fits`: the forecast's whole range does; `fits`: the forecast does; `may fit`: its lower end does;
    `does not run`: the program itself refuses such a chip."""
    fits: bool
    headroom_bytes: int | None
    figures: Figures | None
    """The forecast for this card; None where the program does not run."""
    reason: str | None = None
    """Why it does not run."""


def gpus_for(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, cards: Iterable[GpuSpec] | None = None, *, progress: Progress | None = None
) -> tuple[CardVerdict, ...]:
    """Return the verdict for every card (None: all that are known): those that suffice first, the smallest of them at the top.

    The model is traced once for all cards whose kernels choose alike; scratch, allocator and context are each card's own.

    Raises:
        UsageError: an unknown model, a missing extra, an unreadable file.
        ModelError, UntraceableError: as `pipeline.estimate`.
    """
    chosen = tuple(load() if cards is None else cards)
    trace = _tracer(model, workload, progress or (lambda _: None))
    traces = {group: _trace_or_error(trace, group) for group in dict.fromkeys(map(_group, chosen))}
    errors = [found for found in traces.values() if isinstance(found, ForecastError)]
    if errors and len(errors) == len(traces):
        raise errors[0]
    return tuple(sorted((_verdict(card, traces[_group(card)], workload) for card in chosen), key=_order))


def _trace_or_error(trace: Callable[[tuple[int, int] | None], Trace], group: tuple[int, int] | None) -> Trace | ForecastError:
    """Return a trace, or why the program does not run on such chips: old ones have no bfloat16."""
    try:
        return trace(group)
    except ForecastError as error:
        return error


def _group(card: GpuSpec) -> tuple[int, int] | None:
    return None if card.compute_capability is None else stands_for(card.compute_capability)


def _tracer(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, progress: Progress
) -> Callable[[tuple[int, int] | None], Trace]:  # fmt: skip
    if isinstance(model, str) and is_count(model):
        counted = trace_parameters(model, workload)
        return lambda _: counted
    found = registry.find(model) if isinstance(model, str) else model_of(model)

    def trace(capability: tuple[int, int] | None) -> Trace:

        named = "an unknown chip" if capability is None else f"compute capability {capability[0]}.{capability[1]}"
        return backend_of(workload).trace(found, workload, capability, lambda stage: progress(f"{stage} for {named}"))

    return trace


def _verdict(card: GpuSpec, trace: Trace | ForecastError, workload: Workload) -> CardVerdict:
    capability = card.compute_capability
    known: dict[str, Any] = {
        "gpu": card.name, "memory_bytes": card.memory_bytes, "usable_bytes": card.usable_bytes,
        "compute_capability": None if capability is None else f"{capability[0]}.{capability[1]}",
    }  # fmt: skip
    if isinstance(trace, ForecastError):
        return CardVerdict(**known, verdict="does not run", fits=False, headroom_bytes=None, figures=None, reason=str(trace))
    estimate = forecast(trace, card, workload)
    shown = figures(workload.batch, estimate)
    return CardVerdict(**known, verdict=_judged(estimate), fits=bool(estimate.fits), headroom_bytes=shown.headroom_bytes, figures=shown)


def _judged(estimate: Estimate) -> Verdict:
    if surely_fits(estimate):
        return "surely fits"
    if estimate.fits:
        return "fits"
    return "may fit" if may_fit(estimate) else "does not fit"


def _order(verdict: CardVerdict) -> tuple[bool, bool, int, str]:
    """Those that suffice by growing memory, the others by shrinking: what is nearest to sufficing stands in the middle."""
    return verdict.figures is None, not verdict.fits, verdict.usable_bytes if verdict.fits else -verdict.usable_bytes, verdict.gpu
