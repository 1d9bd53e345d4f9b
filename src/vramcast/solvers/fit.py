"""`vramcast.fit`: the largest batch, image or sequence that a card has room for.

Values are looked at over a family: traces at a few small batches, images or sequences tell all others, and more of them, at the largest value
asked about among others, which were not used, verify that. Where they do not tell, each value is traced, and the answer says so. Every value
answered was replayed as it is: nothing is interpolated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from vramcast.backends.registry import with_backend
from vramcast.data.worst_batch import Data, for_worst_batch
from vramcast.errors import WorkloadError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress
from vramcast.solvers.ladder import Ladder
from vramcast.solvers.ladders import LADDERS
from vramcast.solvers.limits import EXPECTED, MAY, SURELY, Fit, Varied, figures
from vramcast.solvers.points import BATCH, SEQUENCE, SQUARE, Points, find_model
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

    from vramcast.sources.interface import Model


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
    points = Points(found, workload, card, AXES[vary], report)
    return msgspec.structs.replace(fit_points(points, vary, step, at_most), data=summary)


AXES: dict[Varied, tuple[str, ...]] = {"batch": BATCH, "image": SQUARE, "seq": SEQUENCE}


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


def fit_points(points: Points, vary: Varied, step: int | None = None, at_most: int | None = None) -> Fit:
    """Find how far a program goes along one of its axes. Raises as `fit`."""
    return _answer(LADDERS[vary](points, step, at_most), vary)


def _answer(ladder: Ladder, vary: Varied) -> Fit:
    ladder.find_start()
    guesses = ladder.guesses
    expected = ladder.largest(EXPECTED, guesses.expected)
    surely = ladder.largest_below(expected, SURELY, guesses.surely) if expected else 0
    may = ladder.largest(MAY, max(guesses.may, expected))
    rungs = {"surely": surely, "expected": expected, "may": may, "beyond": may + 1 if may < ladder.most else 0, "smallest": ladder.start}
    estimates = {name: ladder.estimate_or_none(rung) for name, rung in rungs.items()}
    shown: dict[str, Any] = {name: None if made is None else figures(ladder.value(rungs[name]), made) for name, made in estimates.items()}
    shortest = ladder.estimate(ladder.start)
    estimate, at_limit = estimates["surely"] or shortest, estimates["expected"] or shortest
    family = ladder.points.family
    values: dict[str, Any] = {vary: ladder.value(surely) if surely else None, f"{vary}_may": ladder.value(may) if may else None}
    gaps = ladder.exceptions(SURELY, surely)
    exceptions = [f"not everything below surely fits: {vary} {', '.join(map(str, gaps))} may need more than {ladder.value(surely)}"] if gaps else []
    failures = [f"{vary} {value} cannot be forecast: {why}" for value, why in sorted(ladder.failures.items())[:1]]
    return Fit(
        vramcast=__version__, model=estimate.model, workload=estimate.workload, gpu=estimate.gpu, vary=vary, **values, **shown,
        binding=next((phase.name for phase in at_limit.phases if phase.binding), ""),
        told_by="family" if family and family.pieces else "traces",
        notes=(*(family.notes if family else ()), *ladder.notes, *exceptions, *failures), caveats=estimate.caveats,
    )  # fmt: skip
