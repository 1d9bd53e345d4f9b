"""The table of kinds, and which of them a path is."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from vramcast.data.coco import Coco
from vramcast.data.image_folder import ImageFolder
from vramcast.data.interface import DataSet, Kind, Progress
from vramcast.data.lengths import Lengths
from vramcast.data.yolo import Yolo
from vramcast.errors import InvalidFileError, WorkloadError

KINDS: tuple[Kind, ...] = (Yolo(), Coco(), Lengths(), ImageFolder())
"""In the order in which a path is asked about."""


def read_data(path: str | os.PathLike[str], *, mosaic: float | None = None, mixup: float | None = None, progress: Progress | None = None) -> DataSet:
    """Read what a data set says about its worst batch; images are not decoded, and malformed labels are counted.

    `path` is a YOLO data.yaml or its folder, a COCO JSON, a folder of images, or a .txt, .csv or .parquet file of sequence lengths.
    `mosaic` and `mixup` are the chances of these augmentations; None: as the preset of the workload has them.

    Raises:
        InvalidFileError: there is no such path, it is no data set, or nothing in it can be read.
        MissingExtraError: the package that reads it is absent.
        WorkloadError: a chance is not between 0 and 1.
    """
    for name, chance in (("mosaic", mosaic), ("mixup", mixup)):
        if chance is not None and not 0 <= chance <= 1:
            raise WorkloadError(f"{name} is {chance}; it is a chance, from 0 to 1.")
    place = Path(path)
    kind = _kind(place)
    return replace(kind.read(place, progress or (lambda _: None)), mosaic=mosaic, mixup=mixup)


def _kind(path: Path) -> Kind:
    try:
        exists = path.exists()
    except (OSError, ValueError):
        exists = False
    legal = "; ".join(kind.looks_like for kind in KINDS)
    if not exists:
        raise InvalidFileError(f"there is no data set '{path}'. It can be {legal}.")
    found = next((kind for kind in KINDS if kind.matches(path)), None)
    if found is None:
        raise InvalidFileError(f"'{path}' is no data set that is known. It can be {legal}.")
    return found
