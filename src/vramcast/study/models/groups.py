"""Which models are held against one another: those of like tasks, at one batch."""

from __future__ import annotations

from collections.abc import Iterable

from vramcast.study.models.row import Row

_GROUPS = {
    "image classifiers": ("classify", "classify-aux", "yolo-classify", "encode"),
    "YOLO and RT-DETR": ("yolo-detect", "yolo-segment", "yolo-pose", "yolo-obb"),
    "detectors of torchvision": ("detect", "instance-segment", "keypoints"),
    "segmentation": ("semantic-segment",),
    "video": ("video-classify",),
    "language": ("causal-lm", "masked-lm", "seq2seq-lm"),
}
_OF_TASK = {task: group for group, tasks in _GROUPS.items() for task in tasks}
OTHER = "others"


def group_of(row: Row) -> str:
    """Return the name of a model's group; image networks without a head count as classifiers, networks of any other input as others."""
    group = _OF_TASK.get(row.task, OTHER)
    return OTHER if row.task == "encode" and row.image is None else group


def grouped(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the rows of each group, in the order of the groups; groups without rows are absent."""
    found: dict[str, list[Row]] = {name: [] for name in (*_GROUPS, OTHER)}
    for row in rows:
        found[group_of(row)].append(row)
    return {name: same for name, same in found.items() if same}
