"""`vramcast.compare`: models side by side at one workload, and the modules that make the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from vramcast.answer import Estimate
from vramcast.errors import UsageError, VramcastError
from vramcast.footprint import CaveatNote, GpuSummary, ModelSummary, ModuleShare, Peak
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress
from vramcast.reports.shares import largest_apart
from vramcast.solvers.fullest import components_at_fullest, modules_at_fullest
from vramcast.solvers.workloads import Workloads, model_or_count
from vramcast.sources.interface import Model
from vramcast.study.module_facts import ModuleFacts, facts_of
from vramcast.trace import Component, Event, Trace
from vramcast.verdict import Verdict
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

MOST_MODULES = 8
"""Modules that are named for a difference."""
_LOOKED_INTO = 12
"""Modules at least that they are chosen from: larger ones are looked into until there are so many."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One model. All sizes are bytes (`int`)."""

    asked: str
    """The model as it was named."""
    model: ModelSummary | None = None
    peak: Peak | None = None
    fits: bool | None = None
    verdict: Verdict | None = None
    """As in an estimate."""
    confidence: float | None = None
    headroom_bytes: int | None = None
    weights_bytes: int = 0
    activations_bytes: int = 0
    """The most that is held as activations at any instant; at the peak it may be less."""
    components: dict[str, int] = {}
    """At the peak."""
    caveats: tuple[CaveatNote, ...] = ()
    error: str | None = None
    """Why there is no forecast."""


class ModuleDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A module that holds more, or less, where most is allocated, than its namesake; None where the other model has none of name and class."""

    name: str
    kind: str
    """Its class."""
    first_bytes: int | None
    second_bytes: int | None
    more_bytes: int
    """What the second model holds more; negative: less."""
    first_parameters: int | None
    second_parameters: int | None
    first_image: tuple[int, int] | None
    """The largest feature map that its convolutions read: height and width."""
    second_image: tuple[int, int] | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What sets the first model apart from another."""

    first: str
    second: str
    more_bytes: int
    """What the second needs more; negative: less."""
    components: dict[str, int]
    """Component -> more bytes where most is allocated, what is reserved beyond that included; they add up to `more_bytes`."""
    modules: tuple[ModuleDifference, ...]
    """None inside another, the largest differences first."""


class ModelComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Models side by side at one workload."""

    schema: str = "vramcast/compare-1"
    vramcast: str
    """Version that made it."""
    workload: dict[str, object]
    gpu: GpuSummary | None
    sides: tuple[Side, ...]
    """In the order asked."""
    differences: tuple[Difference, ...]
    """The first model that was forecast against each other one."""


def compare(
    models: Sequence[str | nn.Module | Callable[[], nn.Module]], workload: Workload, gpu: str | GpuSpec | None = None, *,
    progress: Progress | None = None,
) -> ModelComparison:  # fmt: skip
    """Forecast several models at one workload. One that cannot be forecast says why, and the others go on.

    Raises:
        UsageError: fewer than two models, an unknown model or card.
        ModelError, UntraceableError: no model can be forecast; the error is the first one's.
    """
    if len(models) < 2:
        raise UsageError(f"{len(models)} model was given; two or more are compared.")
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    found = [model_or_count(model) for model in models]
    made: dict[int, Estimate] = {}
    errors: dict[int, VramcastError] = {}
    for index, model in enumerate(found):
        try:
            made[index] = Workloads(model, card, progress or (lambda _: None)).estimate(workload)
        except VramcastError as error:
            errors[index] = error
    if not made:
        raise errors[0]
    sides = tuple(
        _side(_name(model), made[index]) if index in made else Side(asked=_name(model), error=str(errors[index])) for index, model in enumerate(found)
    )
    known = [(found[index], estimate, facts_of(found[index], workload, estimate.trace)) for index, estimate in made.items()]
    gpus = [estimate.gpu for estimate in made.values()]
    differences = tuple(_difference(known[0], other) for other in known[1:])
    return ModelComparison(vramcast=__version__, workload=workload.as_dict(), gpu=gpus[0], sides=sides, differences=differences)


def _name(model: Model | str) -> str:
    return model if isinstance(model, str) else f"{model.source}:{model.name}"


def _side(asked: str, estimate: Estimate) -> Side:
    return Side(
        asked=asked, model=estimate.model, peak=estimate.peak, fits=estimate.fits, verdict=estimate.verdict, confidence=estimate.confidence,
        headroom_bytes=estimate.headroom_bytes,
        weights_bytes=estimate.components.get("weights", 0), activations_bytes=most_held(estimate.trace, Component.ACTIVATIONS),
        components=estimate.components, caveats=estimate.caveats,
    )  # fmt: skip


def most_held(trace: Trace, component: Component) -> int:
    """Return the most bytes requested for a component that live at one instant."""
    counted = trace.kinds <= Event.FREE
    blocks = trace.blocks[counted]
    signed = np.where(trace.kinds[counted] == Event.ALLOCATE, trace.sizes[blocks], -trace.sizes[blocks])
    return int(np.cumsum(np.where(trace.components[blocks] == component, signed, 0)).max(initial=0))


_Known = tuple[Model | str, Estimate, Mapping[str, ModuleFacts]]


def _difference(first: _Known, second: _Known) -> Difference:
    before, after = components_at_fullest(first[1]), components_at_fullest(second[1])
    components = {name: size - before.get(name, 0) for name, size in after.items()}
    return Difference(
        first=_name(first[0]), second=_name(second[0]),
        more_bytes=second[1].peak.device_bytes - first[1].peak.device_bytes,
        components={name: size for name, size in components.items() if size},
        modules=_modules(first, second),
    )  # fmt: skip


def _modules(first: _Known, second: _Known) -> tuple[ModuleDifference, ...]:
    """Pair modules by name and class; where the classes under one name differ, each stands by itself."""
    held = [_keyed(first, second), _keyed(second, first)]
    keys = dict.fromkeys([*held[0], *held[1]])
    more = {key: held[1].get(key, _NOTHING)[0] - held[0].get(key, _NOTHING)[0] for key in keys}
    apart = largest_apart((ModuleShare(name=key, bytes=abs(size), components={}) for key, size in more.items()), most=_LOOKED_INTO)
    found = [_paired(share.name, held[0].get(share.name), held[1].get(share.name)) for share in apart]
    return tuple(sorted(found, key=lambda one: -abs(one.more_bytes))[:MOST_MODULES])


_Held = tuple[int, ModuleFacts]
_NOTHING: _Held = (0, ModuleFacts("", 0, None))


def _keyed(side: _Known, other: _Known) -> dict[str, _Held]:
    """Return what each module holds, under its name; behind each part that is of another class in the other model stands the class."""
    kinds, others = side[2], other[2]

    def key(name: str) -> str:
        parts = name.split(".")
        names = [".".join(parts[: index + 1]) for index in range(len(parts))]
        differ = [whole in kinds and whole in others and kinds[whole].kind != others[whole].kind for whole in names]
        return ".".join(f"{part}{_CLASS}{kinds[whole].kind}" if marked else part for part, whole, marked in zip(parts, names, differ))

    return {key(share.name): (share.bytes, kinds.get(share.name, _NOTHING[1])) for share in modules_at_fullest(side[1]) if share.name}


_CLASS = "\0"
"""Between a part of a name and its class; no name has it."""


def _paired(key: str, first: _Held | None, second: _Held | None) -> ModuleDifference:
    name = ".".join(part.partition(_CLASS)[0] for part in key.split("."))
    return ModuleDifference(
        name=name, kind=next((known[1].kind for known in (first, second) if known), ""),
        first_bytes=first[0] if first else None, second_bytes=second[0] if second else None,
        more_bytes=(second or _NOTHING)[0] - (first or _NOTHING)[0],
        first_parameters=first[1].parameters if first else None, second_parameters=second[1].parameters if second else None,
        first_image=first[1].image if first else None, second_image=second[1].image if second else None,
    )  # fmt: skip
