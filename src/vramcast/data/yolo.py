"""A YOLO data set: data.yaml, images, and a text file of labels for each (ultralytics 8.4.190, data/utils.py, data/base.py).

`data.yaml` may be left out where `images` and `labels` lie beside each other, and images where only labels are at hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vramcast.data.image_files import ENDINGS, LARGEST_COUNT, find_files, is_regular, names_of, read_sizes
from vramcast.data.interface import DataSet, Malformed, Progress, printable
from vramcast.data.text_files import read_bounded
from vramcast.data.yolo_labels import count_objects
from vramcast.errors import InvalidFileError, MissingExtraError

LARGEST_YAML = 2**20
LARGEST_LIST = 2**28
"""Bytes of a data.yaml, and of a text file that lists images."""
_YAML_ENDINGS = (".yaml", ".yml")


class Yolo:
    """Images with label files; the training split counts."""

    name = "yolo"
    looks_like = "a data.yaml, or a folder with one or with images and labels"

    def matches(self, path: Path) -> bool:
        """A YAML file, or a folder that has one, or `labels`."""
        return path.suffix.lower() in _YAML_ENDINGS or (path.is_dir() and (_yaml_in(path) is not None or (path / "labels").is_dir()))

    def read(self, path: Path, progress: Progress) -> DataSet:
        """Count the objects of every training image, and read the images' sizes. Raises as `Kind.read`."""
        description = path if not path.is_dir() else _yaml_in(path)
        root = (path if path.is_dir() else path.parent).absolute()
        malformed = Malformed()
        if description is None:
            places = [root / "images" if (root / "images").is_dir() else root / "labels"]
        else:
            root, places = _training_places(description)
        images = sorted({image for place in places for image in _images_of(place, malformed)})
        if not any(map(os.path.lexists, images)) and not any(is_regular(label_of(image)) for image in images):
            images = []
        notes: tuple[str, ...] = ()
        if images:
            labels = [label_of(image) for image in images]
            sizes, notes = read_sizes(images, malformed, progress)
            unlabelled = sum(not is_regular(label) for label in labels)
            notes += (f"{unlabelled:,} of {len(images):,} images have no label file, and count as images of background.",) if unlabelled else ()
        else:
            images = labels = [label for place in places for label in _labels_beside(place)]
            sizes, notes = None, ("No images were found; objects are counted from label files alone, so that images without any are not known.",)
        if not labels:
            raise InvalidFileError(f"'{path}' names no images and no labels: looked in {', '.join(printable(str(place)) for place in places[:4])}.")
        names = names_of(images, root)
        return DataSet(
            source=printable(str(path)), kind=self.name, names=names, objects=_counted(labels, root, malformed, progress), sizes=sizes,
            malformed=malformed.count, malformed_examples=tuple(malformed.examples), notes=notes,
        )  # fmt: skip


def _counted(labels: list[Path], root: Path, malformed: Malformed, progress: Progress) -> np.ndarray:
    counts = np.zeros(len(labels), np.int64)
    for index, (label, name) in enumerate(zip(labels, names_of(labels, root))):
        if index % 1000 == 0:
            progress(f"reading labels, {index:,} of {len(labels):,}")
        counts[index] = count_objects(label, name, malformed)
    return counts


def label_of(image: Path) -> Path:
    """Return where an image's labels lie: the last `images` of its path becomes `labels`, the ending `.txt` (`img2label_paths`)."""
    return Path(f"{os.sep}labels{os.sep}".join(str(image).rsplit(f"{os.sep}images{os.sep}", 1))).with_suffix(".txt")


def _yaml_in(folder: Path) -> Path | None:
    """Return the one YAML file of a folder, or its data.yaml where there are several."""
    found = sorted(path for ending in _YAML_ENDINGS for path in folder.glob(f"*{ending}") if is_regular(path))
    named = [path for path in found if path.stem == "data"]
    return named[0] if named else found[0] if len(found) == 1 else None


def _training_places(description: Path) -> tuple[Path, list[Path]]:
    """Return the data set's root, and the folders and lists that its training split names."""
    fields = _yaml(description)
    train = fields.get("train")
    named = [train] if isinstance(train, str) else train
    if not isinstance(named, list) or not named or not all(isinstance(place, str) and "\0" not in place for place in named):
        raise InvalidFileError(
            f"'{description}' names no training images: its field 'train' is neither the path of a folder or list, nor several of them."
        )
    given = fields.get("path")
    roots = [description.parent] if not isinstance(given, str) or "\0" in given else [description.parent / given, Path(given), description.parent]
    root = next((root for root in roots if os.path.isdir(root)), description.parent).absolute()
    return root, [_existing(root, place) for place in named]


def _existing(root: Path, place: str) -> Path:
    """Return the place, and where there is none of that name, the one without leading `../` (as `check_det_dataset` does)."""
    whole = Path(os.path.normpath(root / place))
    return whole if os.path.exists(whole) or not place.startswith("../") else Path(os.path.normpath(root / place[3:]))


def _yaml(path: Path) -> dict[str, Any]:
    """Return the fields of a description that are texts, or lists of texts.

    Nodes are read as they stand: nothing is constructed, so that neither tags nor merged aliases (`<<`) can do or become anything.
    """
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("PyYAML", "data", "Reading a data.yaml") from error
    text = read_bounded(path, LARGEST_YAML)
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidFileError(f"'{path}' is no YAML: {' '.join(printable(str(error)).split())[:200]}") from None
    if not isinstance(root, yaml.MappingNode):
        raise InvalidFileError(f"'{path}' is no description of a data set: it holds no fields such as 'train'.")
    return {key.value: _texts(value) for key, value in root.value if isinstance(key.value, str)}


def _texts(node: Any) -> str | list[Any] | None:
    if node.tag == "tag:yaml.org,2002:str":
        return str(node.value)
    return [_texts(item) if isinstance(item.value, str) else None for item in node.value] if node.tag == "tag:yaml.org,2002:seq" else None


def _images_of(place: Path, malformed: Malformed) -> Iterator[Path]:
    """List the images of a folder, or of a text file with one path a line."""
    if os.path.isdir(place):
        yield from find_files(place)
        return
    if not is_regular(place) or place.suffix.lower() != ".txt":
        return
    lines = read_bounded(place, LARGEST_LIST).splitlines()
    if len(lines) > LARGEST_COUNT:
        raise InvalidFileError(f"'{place}' lists more than {LARGEST_COUNT:,} images. Name a smaller list.")
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and ("\0" in text or Path(text).suffix.lower() not in ENDINGS):
            malformed.add(f"{place.name}, line {number}", "names no image")
        elif text:
            yield Path(os.path.normpath(place.parent / text))


def _labels_beside(place: Path) -> list[Path]:
    """Return the label files that belong to a folder of images, sorted."""
    folder = label_of(place / "image").parent
    return [path for path in find_files(folder, (".txt",)) if path.name != "classes.txt"] if os.path.isdir(folder) else []
