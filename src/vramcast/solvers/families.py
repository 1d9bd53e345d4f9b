"""`vramcast.trace_family`: the traces of a model over batches and sizes, from a few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vramcast.errors import WorkloadError
from vramcast.family import TraceFamily, build
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress
from vramcast.solvers.points import BATCH, IMAGE, SEQUENCE, Points, find_model
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn


def trace_family(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, batches: Iterable[int], *,
    images: Iterable[int | tuple[int, int]] = (), seqs: Iterable[int] = (), gpu: str | GpuSpec | None = None, progress: Progress | None = None,
) -> TraceFamily:  # fmt: skip
    """Trace a model at a few points, and return the family that tells the others.

    `images` are sides or (height, width), `seqs` lengths; neither: the workload's own size. Attention kernels are chosen as on `gpu`.
    `family.at((64, 480, 640))` is a trace for `vramcast.forecast`, the very one that tracing that point gives, or None where the family
    does not hold the point (`family.notes` say where it is split).

    Raises:
        UsageError: an unknown model or card; no batch, or images and sequences together.
    """
    numbers, sides, lengths = sorted(set(batches)), list(images), list(seqs)
    if not numbers or (sides and lengths):
        raise WorkloadError("a family takes one batch or more, and either images or seqs: trace_family(model, workload, range(1, 65), images=[224]).")
    axes = IMAGE if sides else SEQUENCE if lengths else BATCH
    sizes: list[tuple[int, ...]] = [(side, side) if isinstance(side, int) else side for side in sides] + [(length,) for length in lengths]
    points = Points(find_model(model), workload, resolve(gpu) if isinstance(gpu, str) else gpu, axes, progress or (lambda _: None))
    return build(points.trace, axes, (numbers[0], numbers[-1]), sizes or [()])
