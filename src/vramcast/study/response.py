"""The values of a study of sensitivity, with the very names of the JSON. All sizes are bytes (`int`)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

import msgspec

from vramcast.answer import Estimate
from vramcast.breakdown import UNALLOCATED
from vramcast.footprint import CaveatNote, GpuSummary, ModelSummary, Peak
from vramcast.reports.palette import SWATCHES
from vramcast.solvers.fullest import components_at_fullest, phase_at_fullest
from vramcast.units import MIB, format_bytes

_NAMED = 3
"""Components that a reason names."""
_SHARE = 10
"""Those that make at least this fraction (a tenth) of the largest."""


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """How memory answers to one change."""

    varied: str
    """`image size`, `sequence`, `batch` or `model size`."""
    before: str = ""
    after: str = ""
    factor: float = 0.0
    """By how much it grows: a side of the image, the batch, the parameters."""
    added_bytes: int = 0
    """More device memory."""
    elasticity: float = 0.0
    """Of device memory."""
    elasticity_of_tensors: float = 0.0
    """Of allocated bytes: without the CUDA context and what is cached."""
    peak: Peak | None = None
    fits: bool | None = None
    components: dict[str, int] = {}
    """Component -> more bytes where most is allocated, what is reserved beyond that included; they add up to `added_bytes`."""
    why: str = ""
    """The components that make the difference, in words."""
    error: str | None = None
    """Why there is no forecast."""


class Sensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """How memory answers to image, batch and model size around a working point."""

    schema: str = "vramcast/sensitivity-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    gpu: GpuSummary | None
    fits: bool | None
    peak: Peak
    components: dict[str, int]
    responses: tuple[Response, ...]
    """Image size (or sequence), batch, model size."""
    order: tuple[str, ...]
    """What is varied, what takes most first."""
    statement: str
    """Whether image size > batch > model size holds, with the figures; where it does not, why."""
    caveats: tuple[CaveatNote, ...]


def order_of(responses: Iterable[Response]) -> tuple[str, ...]:
    """Return what is varied, what takes most first."""
    known = [answer for answer in responses if answer.error is None]
    return tuple(answer.varied for answer in sorted(known, key=lambda answer: -answer.added_bytes))


def statement_of(responses: Iterable[Response]) -> str:
    """Say with figures whether image size > batch > model size holds; where it does not, between which two, and why."""
    known = [answer for answer in responses if answer.error is None]
    if len(known) < 2:
        return ""
    rule, figures = " > ".join(answer.varied for answer in known), ", ".join(_signed(answer.added_bytes) for answer in known)
    wrong = [(first, second) for first, second in itertools.pairwise(known) if first.added_bytes <= second.added_bytes]
    if not wrong:
        return f"{rule} holds: {figures}"
    return f"{rule} does not hold: {'; '.join(_exception(first, second) for first, second in wrong)}"


def _exception(first: Response, second: Response) -> str:
    if first.added_bytes == second.added_bytes:
        return f"{first.varied} and {second.varied} add the same, {_signed(first.added_bytes)} ({first.why})"
    return f"{second.varied} adds {_signed(second.added_bytes)} ({second.why}) but {first.varied} {_signed(first.added_bytes)} ({first.why})"


def response(varied: str, factor: float, base: Estimate, other: Estimate) -> Response:
    """Return what two forecasts say of a change by a factor."""
    before, after = components_at_fullest(base), components_at_fullest(other)
    components = {name: after.get(name, 0) - size for name, size in before.items()}
    return Response(
        varied=varied,
        factor=factor,
        added_bytes=other.peak.device_bytes - base.peak.device_bytes,
        elasticity=_elasticity(base.peak.device_bytes, other.peak.device_bytes, factor),
        elasticity_of_tensors=_elasticity(base.peak.allocated_bytes, other.peak.allocated_bytes, factor),
        peak=other.peak,
        fits=other.fits,
        components={name: size for name, size in components.items() if size},
        why=_why(components, base, other),
    )


def _elasticity(before: int, after: int, factor: float) -> float:
    if factor <= 0 or factor == 1 or min(before, after) <= 0:
        return 0.0
    return math.log(after / before) / math.log(factor)


def _why(components: dict[str, int], base: Estimate, other: Estimate) -> str:
    largest = sorted(components, key=lambda name: -abs(components[name]))[:_NAMED]
    least = max(abs(components[largest[0]]) // _SHARE, MIB) if largest else 0
    named = [f"{_label(name)} {_signed(components[name])}" for name in largest if abs(components[name]) >= least]
    before, after = phase_at_fullest(base), phase_at_fullest(other)
    return (", ".join(named) or "next to nothing") + (f"; most is held in {after} instead of {before}" if before != after else "")


def _label(component: str) -> str:
    return "unused segments" if component == UNALLOCATED else SWATCHES[component].label


def _signed(size: int) -> str:
    return f"{'+' if size >= 0 else ''}{format_bytes(size)}"
