"""`vramcast.fit`: the largest batch, image or sequence that a card has room for.

A batch is found over a family: traces at two or three small batches tell all others, and one more at the largest batch asked about,
which was not used, verifies that. Images and sequences are traced where they are asked about. Every batch that is answered was
replayed as it is: nothing is interpolated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec

from vramcast.backends.registry import with_backend
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.errors import WorkloadError
from vramcast.family import TraceFamily, build
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.per_target import requested_bytes
from vramcast.pipeline import Progress
from vramcast.solvers.ladder import NEIGHBOURS, Ladder
from vramcast.solvers.limits import Fit, Varied, figures, is_expected_to_fit, may_fit, surely_fits
from vramcast.solvers.points import BATCH, IMAGE, SEQUENCE, Points, find_model, workload_at
from vramcast.solvers.search import largest
from vramcast.sources.interface import TASKS_WITH_OBJECTS
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from vramcast.sources.interface import Model

DEFAULT_STEP = 32
"""Pixels from one image size to the next where the model names no stride: what most networks for images divide by."""
LARGEST_BATCH = 2**20
LARGEST_SIDE = 2**15
LARGEST_SEQUENCE = 2**20
"""Where searches end."""
_PROBES = (4, 64, 1024, 2**14, LARGEST_BATCH)
"""Batches at which growth is looked for; the weights' own steps may set the peak of small ones."""


def fit(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec, *, vary: Varied = "batch",
    step: int | None = None, at_most: int | None = None, data: Data | None = None,
    progress: Progress | None = None,
) -> Fit:  # fmt: skip
    """Find the largest batch (or image side, or sequence) with which a workload fits on a card.

    `step` is what sides of images are multiples of (None: the model's stride), or lengths of sequences (None: 1); `at_most` is the
    largest value tried, such as the size of the data set. With `data`, as for `estimate`, every batch is taken to be the worst one.

    Raises:
        UsageError: an unknown name, a value that cannot be varied with this model or workload.
        ModelError, UntraceableError: as `pipeline.estimate`.
    """
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    found = find_model(model)
    report = progress or (lambda _: None)
    workload, summary = for_worst_batch(data, with_backend(workload, found), found, leaving=(vary,), progress=report)
    _check(found, workload, vary, step, at_most)
    ladder = _LADDERS[vary](Points(found, workload, card, _AXES[vary], report), step, at_most)
    return msgspec.structs.replace(_answer(ladder, vary), data=summary)


_AXES = {"batch": BATCH, "image": IMAGE, "seq": SEQUENCE}


def _batches(points: Points, _step: int | None, at_most: int | None) -> Ladder:
    """Return the ladder of batches, over a family up to some batches beyond what seems to fit."""
    most = min(at_most or LARGEST_BATCH, LARGEST_BATCH)
    guess = min(_guessed_batch(points, most), most)
    if guess > _PROBES[0]:
        points.family = _family_around(points, guess, min(most, guess + guess // 16 + 2 * NEIGHBOURS))
    return Ladder(points, 1, most, guess)


def _family_around(points: Points, guess: int, end: int) -> TraceFamily:
    """Return the family up to a batch, kept to the batches at which gradients are accumulated as often as at the guess.

    A preset may accumulate until about so many samples were seen: other events, which small batches are not traced with.
    """

    def accumulated(batch: int) -> int:
        return workload_at(points.workload, BATCH, (batch,)).accumulate

    often = accumulated(guess)
    low = 1 + largest(lambda batch: accumulated(batch) > often, guess, guess, neighbours=0)
    high = largest(lambda batch: accumulated(batch) >= often, end, end, neighbours=0)
    family = build(lambda point: points.trace_with(point, often), BATCH, (2, max(high, 2)), [()])
    boxes = [replace(piece.box, low=(max(low, *piece.box.low),)) for piece in family.pieces]
    return replace(family, pieces=tuple(replace(piece, box=box) for piece, box in zip(family.pieces, boxes)))


def _guessed_batch(points: Points, most: int) -> int:
    """Return about how many samples fit, by the growth of what is asked for between two batches.

    The growth of small batches may be none, or less than that of large ones, where something else sets the peak; so what was guessed is
    looked at in turn, but for detectors, whose large batches take long to trace.
    """
    usable = points.card.usable_bytes if points.card else 0
    before, batch = 2, next((probe for probe in _PROBES if probe <= most and _peak(points, probe) > _peak(points, 2)), 0)
    if not batch:
        return most
    for _ in range(1 if points.model.task in TASKS_WITH_OBJECTS else _GUESSES):
        growth = Fraction(_peak(points, batch) - _peak(points, before), batch - before)
        if growth <= 0:
            break
        guess = min(max(1, int(batch + (usable - _peak(points, batch)) / growth)), most)
        before, batch = batch, guess
        if abs(batch - before) * _NEAR < batch:
            break
    return batch


def _peak(points: Points, batch: int) -> int:
    return int(requested_bytes(points.trace((batch,))).max(initial=0))


def _images(points: Points, step: int | None, at_most: int | None) -> Ladder:
    stride = points.model.stride
    unit = step or (stride if stride > 1 else DEFAULT_STEP)
    own = max(points.workload.image or points.model.image or (unit, unit))
    ladder = Ladder(points, unit, max(1, min(at_most or LARGEST_SIDE, LARGEST_SIDE) // unit), max(1, own // unit))
    return replace(ladder, guess=_guessed_rung(ladder, power=2))


def _sequences(points: Points, step: int | None, at_most: int | None) -> Ladder:
    unit, longest = step or 1, points.model.max_sequence or LARGEST_SEQUENCE
    own = points.workload.seq or points.model.sequence or 512
    ladder = Ladder(points, unit, max(1, min(at_most or longest, longest) // unit), max(1, own // unit))
    return replace(ladder, guess=_guessed_rung(ladder, power=1))


def _guessed_rung(ladder: Ladder, power: int) -> int:
    """Return about which rung fits: bytes taken to follow a power of the size, from the last two rungs looked at."""
    usable = ladder.points.card.usable_bytes if ladder.points.card else 0
    before, rung = ladder.guess, max(1, min(2 * ladder.guess, ladder.most))
    for _ in range(_GUESSES):
        two = ladder.estimate_or_none(before), ladder.estimate_or_none(rung)
        if two[0] is None or two[1] is None or before == rung:
            break
        growth = Fraction(two[1].peak.device_bytes - two[0].peak.device_bytes, rung**power - before**power)
        if growth <= 0:
            break
        room = max(0, int(rung**power + (usable - two[1].peak.device_bytes) / growth))
        before, rung = rung, max(1, min(ladder.most, math.isqrt(room) if power == 2 else room))
    return rung


_GUESSES = 3
"""Batches or rungs looked at in search of a guess, after the first two."""
_NEAR = 4
"""Guesses whose difference is less than this share of them are good enough."""


_LADDERS: dict[Varied, Callable[[Points, int | None, int | None], Ladder]] = {"batch": _batches, "image": _images, "seq": _sequences}


def _check(model: Model, workload: Workload, vary: Varied, step: int | None, at_most: int | None) -> None:
    """Refuse what cannot be varied, before anything is traced."""
    name = f"{model.source}:{model.name}"
    for option, value in (("step", step), ("at_most", at_most)):
        if value is not None and value < 1:
            raise WorkloadError(f"{option} is {value}; it must be at least 1.")
    if step is not None and vary == "batch":
        raise WorkloadError(f"step {step} and vary 'batch' exclude each other: batches are searched one by one.")
    if workload.inputs and vary != "batch":
        raise WorkloadError(f"inputs and vary {vary!r} exclude each other: an input states its own shape. Ask `estimate` about each shape.")
    if vary == "image" and (model.image is None and model.task != "generic"):
        raise WorkloadError(f"vary 'image' and model {name} exclude each other: it takes no images; vary seq or batch.")
    if vary == "image" and model.fixed_image:
        raise WorkloadError(f"vary 'image' and model {name} exclude each other: it takes one size only, {model.image}; vary batch.")
    if vary == "image" and (workload.image_range or len(set(workload.image or ())) > 1):
        raise WorkloadError("vary 'image' searches square images of one size; leave image and image_range out.")
    if vary == "image" and step is not None and step % model.stride:
        raise WorkloadError(f"step is {step}, but the sides of {name}'s images must be multiples of its stride, {model.stride}.")
    if vary == "seq" and model.image is not None:
        raise WorkloadError(f"vary 'seq' and model {name} exclude each other: it takes images; vary image or batch.")


def _answer(ladder: Ladder, vary: Varied) -> Fit:
    ladder.find_start()
    expected = ladder.largest(is_expected_to_fit, max(ladder.guess, ladder.start))
    surely, may = ladder.largest_below(expected, surely_fits) if expected else 0, ladder.largest(may_fit, expected or ladder.start)
    rungs = {"surely": surely, "expected": expected, "may": may, "beyond": may + 1 if may < ladder.most else 0, "smallest": ladder.start}
    estimates = {name: ladder.estimate_or_none(rung) for name, rung in rungs.items()}
    shown: dict[str, Any] = {name: None if made is None else figures(ladder.value(rungs[name]), made) for name, made in estimates.items()}
    shortest = ladder.estimate(ladder.start)
    estimate, at_limit = estimates["surely"] or shortest, estimates["expected"] or shortest
    family = ladder.points.family
    values: dict[str, Any] = {vary: ladder.value(surely) if surely else None, f"{vary}_may": ladder.value(may) if may else None}
    gaps = ladder.exceptions(surely_fits, surely)
    exceptions = [f"not everything below surely fits: {vary} {', '.join(map(str, gaps))} may need more than {ladder.value(surely)}"] if gaps else []
    failures = [f"{vary} {value} cannot be forecast: {why}" for value, why in sorted(ladder.failures.items())[:1]]
    return Fit(
        vramcast=__version__, model=estimate.model, workload=estimate.workload, gpu=estimate.gpu, vary=vary, **values, **shown,
        binding=next((phase.name for phase in at_limit.phases if phase.binding), ""),
        told_by="family" if family and family.pieces else "traces",
        notes=(*(family.notes if family else ()), *exceptions, *failures), caveats=estimate.caveats,
    )  # fmt: skip
