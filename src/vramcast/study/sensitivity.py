"""`vramcast.sensitivity`: how device memory answers when image, batch or model grow, around a working point.

Each answer is a forecast of its own. An elasticity is the growth of the logarithm of memory over that of what is varied: 2 for a side of
the image whose every byte follows the area, 1 for a batch that everything follows, 0 where nothing does; for a model it is by its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from vramcast.answer import Estimate
from vramcast.errors import VramcastError, WorkloadError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.pipeline import Progress
from vramcast.solvers.points import BATCH, find_model, workload_at
from vramcast.solvers.workloads import Workloads
from vramcast.sources.interface import Model
from vramcast.study.next_size import next_size
from vramcast.study.response import Response, Sensitivity, order_of, response, statement_of
from vramcast.version import __version__
from vramcast.workload import Workload

if TYPE_CHECKING:
    from torch import nn

_FACTOR = 2


def sensitivity(
    model: str | nn.Module | Callable[[], nn.Module], workload: Workload, gpu: str | GpuSpec | None = None, *,
    larger: str | nn.Module | Callable[[], nn.Module] | None = None, progress: Progress | None = None,
) -> Sensitivity:  # fmt: skip
    """Forecast what doubling image (or sequence) and batch takes, and the family's next size up.

    `larger` names the next size; None: as the source's names tell it. What cannot be forecast says why in its `error`.

    Raises:
        UsageError: an unknown model or card.
        ModelError, UntraceableError: the working point itself cannot be forecast.
    """
    return next(iter(sensitivities(model, [workload], gpu, larger=larger, progress=progress)))


def sensitivities(
    model: str | nn.Module | Callable[[], nn.Module], workloads: Iterable[Workload], gpu: str | GpuSpec | None = None, *,
    larger: str | nn.Module | Callable[[], nn.Module] | None = None, progress: Progress | None = None,
) -> list[Sensitivity]:  # fmt: skip
    """Do so around several working points; what they have in common is traced once. Raises as `sensitivity`."""
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    found = find_model(model)
    bigger = next_size(found) if larger is None else find_model(larger)
    tell = progress or (lambda _: None)
    study = _Study(Workloads(found, card, tell), None if bigger is None else Workloads(bigger, card, tell), found)
    return [study.around(workload) for workload in workloads]


@dataclass(frozen=True, slots=True)
class _Study:
    forecasts: Workloads
    of_larger: Workloads | None
    model: Model

    def around(self, workload: Workload) -> Sensitivity:
        """Forecast the working point, and each of its neighbours."""
        base = self.forecasts.estimate(workload)
        takes_images = self.model.image is not None or self.model.task == "generic"
        size = self._image(workload, base) if takes_images else self._sequence(workload, base)
        responses = (size, self._batch(workload, base), self._larger(workload, base))
        return Sensitivity(
            vramcast=__version__, model=base.model, workload=base.workload, gpu=base.gpu, fits=base.fits, peak=base.peak,
            components=base.components, responses=responses, order=order_of(responses), statement=statement_of(responses), caveats=base.caveats,
        )  # fmt: skip

    def _image(self, workload: Workload, base: Estimate) -> Response:
        def doubled() -> tuple[str, str, Estimate]:
            image = workload.image or self.model.image
            if workload.inputs or image is None or workload.image_range is not None:
                raise WorkloadError("the image has no size of its own: inputs state their shapes, or sizes are drawn from a range")
            if self.model.fixed_image:
                raise WorkloadError(f"it takes one image size only, {_sides(image)}")
            twice = (image[0] * _FACTOR, image[1] * _FACTOR)
            return _sides(image), _sides(twice), self.forecasts.estimate(workload.with_fields(image=twice), f"image {_sides(twice)}")

        return _attempt("image size", _FACTOR, base, doubled)

    def _sequence(self, workload: Workload, base: Estimate) -> Response:
        def doubled() -> tuple[str, str, Estimate]:
            length = workload.seq or self.model.sequence
            if workload.inputs or length is None:
                raise WorkloadError("it takes neither images nor sequences of a size of its own")
            return str(length), str(length * _FACTOR), self.forecasts.estimate(workload.with_fields(seq=length * _FACTOR), f"seq {length * _FACTOR}")

        return _attempt("sequence", _FACTOR, base, doubled)

    def _batch(self, workload: Workload, base: Estimate) -> Response:
        def doubled() -> tuple[str, str, Estimate]:
            batch = workload.inputs[0].shape[0] if workload.inputs and workload.inputs[0].shape else workload.batch
            twice = workload_at(workload, BATCH, (batch * _FACTOR,))
            return str(batch), str(batch * _FACTOR), self.forecasts.estimate(twice, f"batch {batch * _FACTOR}")

        return _attempt("batch", _FACTOR, base, doubled)

    def _larger(self, workload: Workload, base: Estimate) -> Response:
        def larger() -> tuple[str, str, Estimate]:
            if self.of_larger is None:
                raise WorkloadError(f"the names of {self.model.source} tell no next size of {self.model.name}; name one as larger")
            estimate = self.of_larger.estimate(workload, "the next size up")
            return base.model.name, estimate.model.name, estimate

        return _attempt("model size", None, base, larger)


def _attempt(varied: str, factor: int | None, base: Estimate, forecast: Callable[[], tuple[str, str, Estimate]]) -> Response:
    """Return the answer; a forecast that does not come about becomes one that says why."""
    try:
        before, after, estimate = forecast()
    except VramcastError as error:
        return Response(varied=varied, error=str(error))
    ratio = float(factor) if factor else estimate.model.parameters / max(base.model.parameters, 1)
    return msgspec.structs.replace(response(varied, ratio, base, estimate), before=before, after=after)


def _sides(image: tuple[int, int]) -> str:
    return str(image[0]) if image[0] == image[1] else f"{image[0]}x{image[1]}"
