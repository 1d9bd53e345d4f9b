"""What a YOLO network's memory answers to: image size, batch and model size, as `vramcast sensitivity` says, for one network of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vramcast.errors import VramcastError
from vramcast.study.models.row import Row
from vramcast.study.models.workloads import workload_of
from vramcast.study.response import Sensitivity
from vramcast.study.sensitivity import sensitivity

_NETWORKS = ("yolo11n", "yolo11m")
_MODES = ("train", "infer")


def sensitivities(rows: Sequence[Row], fields: dict[str, Any], gpu: str | None) -> list[Sensitivity]:
    """Return the answers of those of a few networks that a study is of, in training and in inference; nothing of one that fails."""
    known = {row.model for row in rows if row.is_whole}
    return [found for name in _NETWORKS if f"ultralytics:{name}" in known for found in _both(f"ultralytics:{name}", fields, gpu)]


def _both(model: str, fields: dict[str, Any], gpu: str | None) -> Iterable[Sensitivity]:
    for mode in _MODES:
        try:
            yield sensitivity(model, workload_of(fields, mode, "yolo-detect"), gpu)
        except VramcastError:
            continue
