"""`vramcast.advise`: every lever forecast for real, alone and the best of them in pairs.

A lever may be pulled more or less far (half the batch, a quarter). It is pulled as little as makes the workload fit; as little as there is
where it fits anyway, or where no card was named.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vramcast.advice.answer import Advice, Advised, Cost, LeftOut
from vramcast.advice.lever import Change, Lever, Situation
from vramcast.advice.levers import LEVERS
from vramcast.advice.reasons import binding_phase, why_not
from vramcast.allocator.config import AllocatorConfig
from vramcast.answer import Estimate
from vramcast.backends.registry import with_backend
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.errors import VramcastError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress
from vramcast.solvers.workloads import Workloads, model_or_count
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

_FAR = 4
"""Strengths of a lever that are tried until one makes the workload fit."""
_BEST = 4
"""Levers that pairs are made of."""
_PAIRS = 4
"""Pairs that are forecast."""
_BF16_SINCE = (8, 0)
"""Compute capability from which on kernels calculate in bfloat16."""


@dataclass(frozen=True, slots=True)
class _Pulled:
    """A lever at the strength that was chosen, and its forecast."""

    lever: Lever
    index: int
    change: Change
    estimate: Estimate


def advise(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec | None = None, *,
    levers: Sequence[Lever] = LEVERS, data: Data | None = None, progress: Progress | None = None,
) -> Advice:  # fmt: skip
    """Forecast what each lever would free, and which make the workload fit on a card.

    With `data`, as for `estimate`, all forecasts are for the worst batch. A lever that cannot be traced is among `failed`, with the reason,
    and the others go on.

    Raises:
        UsageError: an unknown model or card, a missing extra, an illegal allocator option.
        ModelError, UntraceableError: the workload itself cannot be forecast.
    """
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    AllocatorConfig.parse(workload.allocator)  # refused before anything is traced
    found = model_or_count(model)
    report = progress or (lambda _: None)
    workload, summary = for_worst_batch(data, with_backend(workload, found), found, progress=report)
    workloads = Workloads(found, card, report)
    before = workloads.estimate(workload, "as it is")
    capability = card.compute_capability if card else None
    situation = Situation(None if isinstance(found, str) else found, workload, before, capability is None or capability >= _BF16_SINCE)
    pulled, not_applicable, failed = _singles(levers, situation, workloads)
    pairs = _pairs(pulled, situation, workloads, failed)
    advised = [_advised(situation, [single], single.estimate, single.change.workload) for single in pulled]
    advised += [_advised(situation, pair, estimate, changed) for pair, estimate, changed in pairs]
    return Advice(
        vramcast=__version__, model=before.model, workload=before.workload, gpu=before.gpu, fits=before.fits, verdict=before.verdict,
        confidence=before.confidence, headroom_bytes=before.headroom_bytes,
        data=summary, peak=before.peak, phases=before.phases, components=before.components,
        advised=tuple(sorted(advised, key=lambda one: (-one.freed_bytes, len(one.levers), one.name))),
        not_applicable=tuple(not_applicable), failed=tuple(failed), caveats=before.caveats,
    )  # fmt: skip


def _singles(levers: Sequence[Lever], situation: Situation, workloads: Workloads) -> tuple[list[_Pulled], list[LeftOut], list[LeftOut]]:
    pulled: list[_Pulled] = []
    not_applicable: list[LeftOut] = []
    failed: list[LeftOut] = []
    for lever in levers:
        try:
            changes = lever.changes(situation)
            if isinstance(changes, str):
                not_applicable.append(LeftOut(lever=lever.name, reason=changes))
            else:
                pulled.append(_pull(lever, changes, situation, workloads))
        except VramcastError as error:
            failed.append(LeftOut(lever=lever.name, reason=str(error)))
    return pulled, not_applicable, failed


def _pull(lever: Lever, changes: Sequence[Change], situation: Situation, workloads: Workloads) -> _Pulled:
    """Pull a lever as little as makes the workload fit; once where it fits, or nothing does."""
    first = _Pulled(lever, 0, changes[0], workloads.estimate(changes[0].workload, changes[0].name))
    if situation.estimate.verdict in (None, "fits") or first.estimate.verdict == "fits":
        return first
    last = first
    for index, change in enumerate(changes[1:_FAR], start=1):
        try:
            last = _Pulled(lever, index, change, workloads.estimate(change.workload, change.name))
        except VramcastError:  # an image too small for the network, for one: what is milder was forecast
            return last
        if last.estimate.verdict == "fits":
            return last
    return last


def _pairs(
    pulled: Sequence[_Pulled], situation: Situation, workloads: Workloads, failed: list[LeftOut]
) -> list[tuple[list[_Pulled], Estimate, Workload]]:
    """Forecast the best levers two by two, each as far as it was pulled alone; pairs that cannot be join `failed`."""
    best = sorted((single for single in pulled if _freed(situation, single.estimate) > 0), key=lambda one: -_freed(situation, one.estimate))[:_BEST]
    pairs = [pair for pair in itertools.combinations(best, 2) if pair[0].lever.kind != pair[1].lever.kind]
    made: list[tuple[list[_Pulled], Estimate, Workload]] = []
    for first, second in pairs[:_PAIRS]:
        try:
            changes = second.lever.changes(replace(situation, workload=first.change.workload))
            if isinstance(changes, str) or second.index >= len(changes):
                continue
            both = changes[second.index].workload
            estimate = workloads.estimate(both, f"{first.change.name} + {second.change.name}")
        except VramcastError as error:
            failed.append(LeftOut(lever=f"{first.lever.name} + {second.lever.name}", reason=str(error)))
            continue
        made.append(([first, replace(second, change=changes[second.index])], estimate, both))
    return made


def _freed(situation: Situation, estimate: Estimate) -> int:
    return situation.estimate.peak.device_bytes - estimate.peak.device_bytes


def _advised(situation: Situation, pulled: Sequence[_Pulled], estimate: Estimate, workload: Workload) -> Advised:
    before, after = situation.workload.as_dict(), workload.as_dict()
    return Advised(
        name=" + ".join(one.change.name for one in pulled),
        levers=tuple(one.lever.name for one in pulled),
        freed_bytes=_freed(situation, estimate),
        peak=estimate.peak, phase=binding_phase(estimate), fits=estimate.fits, verdict=estimate.verdict,
        confidence=estimate.confidence, headroom_bytes=estimate.headroom_bytes,
        costs=tuple(Cost(computation=one.lever.computation, risk=one.lever.risk, effort=one.lever.effort) for one in pulled),
        code=tuple(one.change.code for one in pulled), options=tuple(one.change.options for one in pulled),
        workload={name: value for name, value in after.items() if value != before[name]},
        why_not=why_not(situation.estimate, estimate),
    )  # fmt: skip
