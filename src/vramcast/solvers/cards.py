"""`vramcast.gpus_for`: which of the cards known would do, the smallest first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from vramcast.backends.registry import backend_of, with_backend
from vramcast.closed_form import trace_parameters
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.errors import ForecastError
from vramcast.footprint import DataSummary, ModelSummary
from vramcast.gpu.catalogue import load
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress, forecast
from vramcast.solvers.limits import Figures, figures
from vramcast.solvers.workloads import model_or_count
from vramcast.trace import Trace
from vramcast.tracing.cuda.capability_groups import stands_for
from vramcast.verdict import Verdict
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from vramcast.sources.interface import Model


class CardVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """One card, and whether a workload fits on it. All sizes are bytes (`int`)."""

    gpu: str
    memory_bytes: int
    usable_bytes: int
    compute_capability: str | None
    verdict: Verdict | Literal["does not run"]
    """As in an estimate; `does not run`: the program itself refuses such a chip."""
    confidence: float | None
    """Share of comparable measured cases that would fit; None where it does not run, or that is not known."""
    fits: bool
    headroom_bytes: int | None
    figures: Figures | None
    """The forecast for this card; None where the program does not run."""
    reason: str | None = None
    """Why it does not run."""


class CardVerdicts(msgspec.Struct, frozen=True, kw_only=True):
    """Which cards would do."""

    schema: str = "vramcast/gpus-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    """The workload's fields as used, presets and data set applied."""
    data: DataSummary | None
    """What the data set says; None where none was named."""
    cards: tuple[CardVerdict, ...]
    """Those that suffice first, the smallest of them at the top."""


def gpus_for(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, cards: Iterable[GpuSpec] | None = None, *,
    data: Data | None = None, progress: Progress | None = None,
) -> CardVerdicts:  # fmt: skip
    """Return the verdict for every card (None: all that are known): those that suffice first, the smallest of them at the top.

    The model is traced once for all cards whose kernels choose alike; scratch, allocator and context are each card's own. With `data`, as for
    `estimate`, the forecast is for the worst batch.

    Raises:
        UsageError: an unknown model, a missing extra, an unreadable file.
        ModelError, UntraceableError: as `pipeline.estimate`.
    """
    chosen = tuple(load() if cards is None else cards)
    found, report = model_or_count(model), progress or (lambda _: None)
    workload, summary = for_worst_batch(data, with_backend(workload, found), found, progress=report)
    trace = _tracer(found, workload, report)
    traces = {group: _trace_or_error(trace, group) for group in dict.fromkeys(map(_group, chosen))}
    errors = [found for found in traces.values() if isinstance(found, ForecastError)]
    if errors and len(errors) == len(traces):
        raise errors[0]
    subject = next(found for found in traces.values() if isinstance(found, Trace)).subject
    summary_of_model = ModelSummary(
        name=subject.name, source=subject.source, parameters=subject.parameters, trainable_parameters=subject.trainable_parameters
    )
    verdicts = sorted((_verdict(card, traces[_group(card)], workload) for card in chosen), key=_order)
    return CardVerdicts(vramcast=__version__, model=summary_of_model, workload=workload.as_dict(), data=summary, cards=tuple(verdicts))


def _trace_or_error(trace: Callable[[tuple[int, int] | None], Trace], group: tuple[int, int] | None) -> Trace | ForecastError:
    """Return a trace, or why the program does not run on such chips: old ones have no bfloat16."""
    try:
        return trace(group)
    except ForecastError as error:
        return error


def _group(card: GpuSpec) -> tuple[int, int] | None:
    return None if card.compute_capability is None else stands_for(card.compute_capability)


def _tracer(model: Model | str, workload: Workload, progress: Progress) -> Callable[[tuple[int, int] | None], Trace]:
    if isinstance(model, str):
        counted = trace_parameters(model, workload)
        return lambda _: counted

    def trace(capability: tuple[int, int] | None) -> Trace:

        named = "an unknown chip" if capability is None else f"compute capability {capability[0]}.{capability[1]}"
        return backend_of(workload).trace(model, workload, capability, lambda stage: progress(f"{stage} for {named}"))

    return trace


def _verdict(card: GpuSpec, trace: Trace | ForecastError, workload: Workload) -> CardVerdict:
    capability = card.compute_capability
    known: dict[str, Any] = {
        "gpu": card.name, "memory_bytes": card.memory_bytes, "usable_bytes": card.usable_bytes,
        "compute_capability": None if capability is None else f"{capability[0]}.{capability[1]}",
    }  # fmt: skip
    if isinstance(trace, ForecastError):
        return CardVerdict(**known, verdict="does not run", confidence=None, fits=False, headroom_bytes=None, figures=None, reason=str(trace))
    estimate = forecast(trace, card, workload)
    shown = figures(workload.batch, estimate)
    said = estimate.verdict or "does not fit"
    return CardVerdict(
        **known, verdict=said, confidence=estimate.confidence, fits=bool(estimate.fits), headroom_bytes=shown.headroom_bytes, figures=shown
    )


_RANKS = {"fits": 0, "too close to call": 1, "does not fit": 2, "does not run": 3}


def _order(found: CardVerdict) -> tuple[int, int, str]:
    """Those that suffice by growing memory, the others by shrinking: what is nearest to sufficing stands in the middle."""
    return _RANKS[found.verdict], found.usable_bytes if found.verdict == "fits" else -found.usable_bytes, found.gpu
