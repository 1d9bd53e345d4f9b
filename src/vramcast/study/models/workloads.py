"""At which workloads a study reads its figures: an inference call and training steps, at a batch that goes with the model's task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vramcast.workload import Workload, make

DEFAULT_BATCH = 32
_BATCHES = {
    "yolo-detect": 16, "yolo-segment": 16, "yolo-pose": 16, "yolo-obb": 16,  # ultralytics 8.4, cfg/default.yaml: `batch: 16`
    "detect": 2, "instance-segment": 2, "keypoints": 2,  # torchvision 0.28, references/detection/train.py: `--batch-size`, default 2
    "semantic-segment": 8,  # torchvision 0.28, references/segmentation/train.py: `--batch-size`, default 8
    "video-classify": 24,  # torchvision 0.28, references/video_classification/train.py: `--batch-size`, default 24
    "causal-lm": 1, "masked-lm": 1, "seq2seq-lm": 1,  # assumed
}  # fmt: skip
"""Task -> batch, where none is given; each trainer's own default."""
_TRAINING_ONLY = frozenset(
    "accumulate checkpointing checkpoint_modules clip_grad ema freeze loss optimizer optimizer_loop phases resume validation weight_decay steps "
    "zero_grad set_to_none prefetch prefetch_dtype preset".split()
)
"""Fields that an inference call has no use for; the workload refuses some of them."""


def workload_of(fields: Mapping[str, Any], mode: str, task: str) -> Workload:
    """Return the workload of one of a study's two forecasts; `fields` are those that were asked for.

    Raises:
        WorkloadError, UnknownNameError: as `vramcast.workload.make`.
    """
    kept = {name: value for name, value in fields.items() if mode == "train" or name not in _TRAINING_ONLY}
    return make({"batch": _BATCHES.get(task, DEFAULT_BATCH), **kept, "mode": mode})
