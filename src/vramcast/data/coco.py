"""A COCO annotation file: objects per image, and the sizes it states (cocodataset.org, "Data format").

Objects are counted as torchvision's references do (pytorch/vision, references/detection/coco_utils.py, `ConvertCocoPolysToMask`): crowds and boxes
without area are left out. Each entry is decoded by itself, so that a broken one costs no other.
"""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import numpy as np

from vramcast.data.image_files import LARGEST_COUNT, LARGEST_SIDE
from vramcast.data.interface import DataSet, Malformed, Progress, printable
from vramcast.data.text_files import read_bytes_bounded
from vramcast.errors import InvalidFileError

LARGEST_FILE = 2**31
"""Bytes; the annotations of all of COCO's training images are 0.45 GB."""


class _File(msgspec.Struct):
    images: list[msgspec.Raw]
    annotations: list[msgspec.Raw] = []


class _Image(msgspec.Struct):
    id: int | str
    file_name: str = ""
    width: int = 0
    height: int = 0


class _Annotation(msgspec.Struct):
    image_id: int | str
    bbox: tuple[float, float, float, float]
    iscrowd: int = 0


class Coco:
    """One JSON file with `images` and `annotations`."""

    name = "coco"
    looks_like = "a JSON file with images and annotations, as COCO has"

    def matches(self, path: Path) -> bool:
        """A JSON file."""
        return path.suffix.lower() == ".json"

    def read(self, path: Path, progress: Progress) -> DataSet:
        """Count the objects of every image. Raises as `Kind.read`."""
        progress("reading annotations")
        try:
            content = msgspec.json.decode(read_bytes_bounded(path, LARGEST_FILE), type=_File)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            raise InvalidFileError(f"'{path}' holds no COCO annotations: {printable(str(error))[:200]}.") from None
        malformed = Malformed()
        images = _images(content, malformed)
        if not images:
            raise InvalidFileError(f"'{path}' lists no images.")
        objects = _objects(content, {image.id: index for index, image in enumerate(images)}, malformed)
        sizes = np.array([_size(image) for image in images], np.int64)
        return DataSet(
            source=printable(str(path)), kind=self.name, names=tuple(printable(image.file_name or str(image.id)) for image in images),
            objects=objects, sizes=sizes if sizes.any() else None, malformed=malformed.count, malformed_examples=tuple(malformed.examples),
        )  # fmt: skip


def _images(content: _File, malformed: Malformed) -> list[_Image]:
    decoder = msgspec.json.Decoder(_Image)
    found: dict[int | str, _Image] = {}
    for index, raw in enumerate(content.images[: LARGEST_COUNT + 1]):
        try:
            image = decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            malformed.add(f"image {index}", str(error))
            continue
        if image.id in found:
            malformed.add(f"image {index}", f"a second image of id {str(image.id)[:40]}")
        else:
            found[image.id] = image
    if len(found) > LARGEST_COUNT:
        raise InvalidFileError(f"the annotations list more than {LARGEST_COUNT:,} images. Name a smaller file.")
    return list(found.values())


def _objects(content: _File, places: dict[int | str, int], malformed: Malformed) -> np.ndarray:
    decoder = msgspec.json.Decoder(_Annotation)
    counts = np.zeros(len(places), np.int64)
    for index, raw in enumerate(content.annotations):
        try:
            annotation = decoder.decode(raw)
        except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
            malformed.add(f"annotation {index}", str(error))
            continue
        place = places.get(annotation.image_id)
        if place is None:
            malformed.add(f"annotation {index}", f"no image has id {str(annotation.image_id)[:40]}")
        elif not all(map(math.isfinite, annotation.bbox)) or min(annotation.bbox[2:]) <= 0:
            malformed.add(f"annotation {index}", "a box without area")
        elif not annotation.iscrowd:
            counts[place] += 1
    return counts


def _size(image: _Image) -> tuple[int, int]:
    is_plausible = 0 < image.height <= LARGEST_SIDE and 0 < image.width <= LARGEST_SIDE
    return (image.height, image.width) if is_plausible else (0, 0)
