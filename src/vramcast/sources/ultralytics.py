"""ultralytics' models: every YAML of the package, with its scale letter (`yolov8n`, `yolo11s-seg`, `yolov5n-p6`, `rtdetr-l`).

Names follow `guess_model_scale` and `yaml_model_load` (ultralytics/nn/tasks.py, 8.4): the letter stands behind the version number and picks
a line of the YAML's `scales`. Released weights with a `u` (`yolov5nu`) or a `6` (`yolov5n6u`) are found under the YAML they were trained from.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vramcast.errors import UnknownNameError
from vramcast.sources.interface import Model
from vramcast.sources.packages import EXTRA, folder_of, import_installed
from vramcast.sources.torchvision_import import prepare_import

if TYPE_CHECKING:
    from torch import nn

_SCALE = re.compile(r"^  (?P<letter>[a-z]): \[", re.MULTILINE)
_CLASSES = re.compile(r"^nc: (\d+)", re.MULTILINE)
_VERSION = re.compile(r"^(yoloe-v?\d+|yolov?\d+)(.*)$")
_ALIAS = re.compile(r"^(?P<name>yolov[358][nsmlx]?(?:-\w+?)?)(?P<p6>6?)u?$")

_HEADS = {
    "cls": ("yolo-classify", "ClassificationModel"),
    "pose": ("yolo-pose", "PoseModel"),
    "obb": ("yolo-obb", "OBBModel"),
    "sem": ("generic", "SemanticSegmentationModel"),
    "depth": ("generic", "DepthModel"),
    "world": ("generic", "WorldModel"),
    "worldv2": ("generic", "WorldModel"),
    "rtdetr": ("yolo-detect", "RTDETRDetectionModel"),
    "seg": ("yolo-segment", "SegmentationModel"),
}
"""Task and class in `ultralytics.nn.tasks` by the part of the name between hyphens, as in `task_map` (ultralytics/models/yolo/model.py, 8.4)."""

_IMAGE, _CLASSIFY_IMAGE = (640, 640), (224, 224)
"""`imgsz` of ultralytics/cfg/default.yaml, 8.4; classification models are trained and published at 224."""

_QUIET = {"YOLO_OFFLINE": "true", "YOLO_VERBOSE": "false", "YOLO_AUTOINSTALL": "false"}
"""Read once at import (ultralytics/utils/__init__.py, 8.4): no look-up of DNS names, no banner, no pip."""


@dataclass(frozen=True, slots=True)
class _Recipe:
    """A YAML and the letter that scales it; no letter where the YAML has one size only."""

    path: Path
    scale: str


class Ultralytics:
    """The models of `ultralytics/cfg/models`."""

    name = "ultralytics"
    extra: str | None = EXTRA

    def names(self) -> Iterator[str]:
        """List the models, without importing ultralytics. Raises `MissingExtraError`."""
        return iter(_recipes(folder_of("ultralytics")))

    def load(self, name: str) -> Model:
        """Find one model, also by the name of its released weights. Raises `UnknownNameError`, `MissingExtraError`."""
        recipes = _recipes(folder_of("ultralytics"))
        known = next((spelling for spelling in _spellings(name) if spelling in recipes), None)
        if known is None:
            raise UnknownNameError("ultralytics model", name, recipes)
        task, module_class = _head(known)
        recipe = recipes[known]
        classes = _CLASSES.search(recipe.path.read_text(encoding="utf-8"))
        return Model(
            name=known,
            source=self.name,
            task=task,
            build=lambda asked: _build(recipe, module_class, asked),
            image=_CLASSIFY_IMAGE if task == "yolo-classify" else _IMAGE,
            stride=_stride(known, task),
            classes=int(classes[1]) if classes else None,
        )


@lru_cache(maxsize=2)
def _recipes(package: Path) -> dict[str, _Recipe]:
    """Return every YAML of the package by name, once per scale letter."""
    paths = sorted((package / "cfg" / "models").rglob("*.yaml"))
    return {name: recipe for path in paths for name, recipe in _scaled(path)}


def _scaled(path: Path) -> Iterator[tuple[str, _Recipe]]:
    letters = _SCALE.findall(path.read_text(encoding="utf-8"))
    version = _VERSION.match(path.stem)
    # One line of scales only: its letter is in the file's name already (yolov10n, rtdetr-l).
    if len(letters) < 2 or version is None:
        yield path.stem, _Recipe(path, letters[0] if letters else "")
        return
    for letter in letters:
        yield f"{version[1]}{letter}{version[2]}", _Recipe(path, letter)


def _spellings(name: str) -> Iterator[str]:
    """Yield the name as given, without `.yaml` or `.pt`, and as the YAML's name where it is that of released weights."""
    bare = re.sub(r"\.(yaml|yml|pt)$", "", name)
    yield bare
    alias = _ALIAS.match(bare)
    if alias is not None:
        yield alias["name"] + ("-p6" if alias["p6"] else "")


def _head(name: str) -> tuple[str, str]:
    parts = name.split("-")
    if parts[0] == "yoloe":
        return "generic", "YOLOESegModel" if "seg" in parts else "YOLOEModel"
    return next((_HEADS[part] for part in parts if part in _HEADS), ("yolo-detect", "DetectionModel"))


def _stride(name: str, task: str) -> int:
    """Return the largest stride: 64 with a P6 level, else 32; classification takes any size (ultralytics/nn/tasks.py, 8.4)."""
    if task == "yolo-classify":
        return 1
    return 64 if "p6" in name.split("-") else 32


def _build(recipe: _Recipe, module_class: str, classes: int | None) -> nn.Module:
    """Build from the YAML; a constructor of a detector runs a forward on zeros, 256 pixels square, to learn its strides."""
    tasks = _import_tasks()
    settings = tasks.YAML.load(recipe.path)
    settings |= {"scale": recipe.scale, "yaml_file": str(recipe.path)}
    for layer in settings["backbone"]:
        if layer[2] == "TorchVision":
            layer[3][2] = None  # the weights, which would be downloaded
    with _silence(tasks.LOGGER):
        module: nn.Module = getattr(tasks, module_class)(settings, nc=classes, verbose=False)
    return module


def _import_tasks() -> Any:
    """Import `ultralytics.nn.tasks` without touching the network, the user's settings file or this process's environment."""
    prepare_import()
    saved = dict(os.environ)
    with TemporaryDirectory(prefix="vramcast-") as folder:
        os.environ.update(_QUIET | {"YOLO_CONFIG_DIR": folder})
        try:
            return import_installed("ultralytics.nn.tasks")
        finally:
            os.environ.clear()
            os.environ.update(saved)


@contextmanager
def _silence(logger: logging.Logger) -> Iterator[None]:
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
