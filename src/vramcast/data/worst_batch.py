"""From a data set and a workload to the batch that sets the peak, the chance that an epoch meets it, and the samples that make it.

A loss over padded targets takes as much as the fullest image of the batch makes it (ultralytics 8.4.190, utils/loss.py `preprocess`), and a padded
batch of sequences as the longest. So the worst batch is the one with the fullest image, or the longest sequence; all others in it are taken
to be as full, which no loss that pads can tell apart.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from vramcast import presets
from vramcast.data.interface import DataSet
from vramcast.data.mixing import TILES, mixed
from vramcast.data.registry import read_data
from vramcast.errors import WorkloadError
from vramcast.footprint import DataSummary, NamedSample, Spread
from vramcast.sources.interface import TASKS_WITH_OBJECTS, Model
from vramcast.trace import Column
from vramcast.workload import Workload

RARE = 0.01
"""The batch that is forecast is met by at least one epoch in a hundred (ultralytics trains for 100, cfg/default.yaml)."""
_NAMED = 5
_RESIZED_BY_THE_MODEL = frozenset({"detect", "instance-segment", "keypoints"})
"""torchvision's detection models take images of any size and scale them themselves."""
_SHORTER, _LONGER = 800, 1333
"""torchvision 0.28, models/detection/faster_rcnn.py: `min_size`, `max_size` of `GeneralizedRCNNTransform`."""


@dataclass(frozen=True, slots=True)
class _Fullest:
    """Objects in the fullest image of the batch that is forecast, and how likely it is."""

    targets: int
    chance: float
    per_batch: float
    per_epoch: float
    most: int


Data = DataSet | str | os.PathLike[str]
"""A data set, or the path of one."""


def for_worst_batch(
    data: Data | None, workload: Workload, model: Model | str, leaving: Collection[str] = (), progress: Callable[[str], None] | None = None
) -> tuple[Workload, DataSummary | None]:
    """Return the workload of the worst batch of a data set, and what that says; the workload as it is where none is named. `leaving` as below.

    Raises:
        UsageError: there is no such data set, it cannot be read, or the model is a mere number of parameters.
    """
    if data is None:
        return workload, None
    if isinstance(model, str):
        raise WorkloadError(f"{model} is a number of parameters, which no data set makes larger. Name a model, or leave the data set out.")
    read = data if isinstance(data, DataSet) else read_data(data, progress=progress or (lambda _: None))
    return with_data(read, workload, model, leaving)


def with_data(data: DataSet, workload: Workload, model: Model, leaving: Collection[str] = ()) -> tuple[Workload, DataSummary]:
    """Return the workload of the worst batch, and what the data set says. What the workload states itself, or `leaving` names, stays as it is."""
    has_objects = data.objects is not None and model.task in TASKS_WITH_OBJECTS and workload.is_training and workload.loss is None
    mosaic, mixup = _chances(data, workload, model) if has_objects else (0.0, 0.0)
    fullest = _fullest(data.objects, workload, mosaic, mixup) if has_objects and data.objects is not None else None
    found = {"targets": fullest.targets if fullest else None, "image": _worst_image(data, model), "seq": _longest(data, workload, model)}
    sets: dict[str, object] = {
        name: value for name, value in found.items() if value is not None and getattr(workload, name) is None and name not in leaving
    }
    if workload.image_range is not None or workload.inputs:
        sets.pop("image", None)
    chance = fullest.chance if fullest and "targets" in sets else 1.0 if sets else None
    summary = DataSummary(
        source=data.source, kind=data.kind, samples=len(data), objects=_spread(data.objects), heights=_side(data, 0), widths=_side(data, 1),
        lengths=_spread(data.lengths), mosaic=mosaic, mixup=mixup, sets=sets, chance_per_epoch=chance,
        objects_per_batch=fullest.per_batch if fullest else None, objects_per_epoch=fullest.per_epoch if fullest else None,
        objects_at_most=fullest.most if fullest else None, largest=_largest(data), malformed=data.malformed,
        malformed_examples=data.malformed_examples, notes=(*data.notes, *_notes(data, workload, model, sets)),
    )  # fmt: skip
    return workload.with_fields(**sets), summary


def _chances(data: DataSet, workload: Workload, model: Model) -> tuple[float, float]:
    """Return the chances of mosaic and mixup: those given, else the preset's, else none."""
    has_habits = workload.preset is not None and model.task.startswith("yolo-")
    mosaic = presets.find(workload.preset).mosaic if has_habits and workload.preset is not None else 0.0
    return mosaic if data.mosaic is None else data.mosaic, 0.0 if data.mixup is None else data.mixup


def _fullest(objects: Column, workload: Workload, mosaic: float, mixup: float) -> _Fullest:
    """Find the fullest image that is met by an epoch in a hundred.

    Without mixing, every image comes once in each epoch, the fullest too. With mosaic, the last epochs go without (`close_mosaic`).
    """
    images, alone = len(objects), int(objects.max(initial=0))
    distribution = mixed(objects, mosaic, mixup)
    most = alone * (TILES if mosaic else 1) * (2 if mixup else 1)
    per_batch = distribution.expected_largest(min(workload.batch, images))
    if not mosaic and not mixup:
        return _Fullest(alone, 1.0, per_batch, float(alone), most)
    targets = min(max(alone, distribution.met_with(RARE, images)), most)
    return _Fullest(targets, distribution.chance(targets, images), per_batch, distribution.expected_largest(images), most)


def _worst_image(data: DataSet, model: Model) -> tuple[int, int] | None:
    """Return the size of the image that becomes the largest, where images reach the model as they are."""
    if data.sizes is None or model.task not in _RESIZED_BY_THE_MODEL or model.fixed_image or not data.sizes.any():
        return None
    known = data.sizes[data.sizes[:, 0] > 0]
    scale = np.minimum(_SHORTER / known.min(axis=1), _LONGER / known.max(axis=1))
    areas = known.prod(axis=1)
    worst = known[np.lexsort((areas, np.rint(areas * scale**2)))[-1]]
    return int(worst[0]), int(worst[1])


def _longest(data: DataSet, workload: Workload, model: Model) -> int | None:
    """Return the longest sequence, cut to what the model takes."""
    if data.lengths is None or model.image is not None or workload.inputs:
        return None
    most = model.max_sequence
    longest = int(data.lengths.max())
    return longest if most is None else max(1, min(longest, most - (workload.new_tokens or 0)))


def _notes(data: DataSet, workload: Workload, model: Model, sets: dict[str, object]) -> list[str]:
    said = []
    if data.objects is not None and "targets" not in sets and workload.targets is None:
        said.append("Objects per image play no role here: they do in the training of detectors by their own loss.")
    if "targets" in sets and workload.phases == "run":
        said.append("Validation is taken to meet as many objects per image; its images come from another split, and are not mixed.")
    if data.sizes is not None and "image" not in sets and model.image is not None and workload.image is None:
        said.append("Images are taken to be resized to the model's own size; to forecast for another, name it with image.")
    if "image" in sets:
        said.append("All images of the batch are as large as the one that becomes largest; a batch of wide and tall ones is padded to more.")
    if data.lengths is not None and "seq" in sets and int(data.lengths.max()) > int(str(sets["seq"])):
        said.append(f"Sequences are cut to {sets['seq']} tokens, the most that the model takes; the longest has {int(data.lengths.max()):,}.")
    return said


def _spread(column: Column | None) -> Spread | None:
    """Return median, 99th percentile and maximum, each a value that occurs."""
    if column is None or not len(column):
        return None
    median, high = np.quantile(column, (0.5, 0.99), method="higher")
    return Spread(median=int(median), percentile_99=int(high), largest=int(column.max()))


def _side(data: DataSet, way: int) -> Spread | None:
    if data.sizes is None:
        return None
    return _spread(data.sizes[data.sizes[:, 0] > 0, way])


def _largest(data: DataSet) -> tuple[NamedSample, ...]:
    """Name the samples with most objects, or most tokens, or most pixels."""
    areas = None if data.sizes is None else data.sizes.prod(axis=1)
    size = next((column for column in (data.objects, data.lengths, areas) if column is not None), None)
    if size is None:
        return ()
    first = np.argsort(-size, kind="stable")[:_NAMED]
    return tuple(NamedSample(name=data.names[index], size=int(size[index])) for index in first if size[index] > 0)
