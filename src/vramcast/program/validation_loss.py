"""Outputs of a validation batch and the loss of them, as the trainers of each kind of model compute it."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vramcast.program.losses import TaskWithLoss
from vramcast.program.tasks.interface import Batch, Setting, Task, tensors_in

_LANGUAGE = {"causal-lm", "masked-lm", "seq2seq-lm"}
_CROSS_ENTROPY = {"classify", "classify-aux", "video-classify", "semantic-segment"}
_ULTRALYTICS = {"yolo-detect", "yolo-segment", "yolo-pose", "yolo-obb", "yolo-classify"}


def outputs_and_loss(task: Task, module: nn.Module, batch: Batch, setting: Setting) -> tuple[Any, torch.Tensor | None]:
    """Return what the module gives in evaluation mode, and the loss where validation computes one.

    Language models compute theirs inside (transformers' `Trainer.prediction_step` passes the labels). torchvision's
    detectors give detections only (references/detection/engine.py), and a user's module is run without a loss.
    """
    kind = setting.model.task
    if isinstance(task, TaskWithLoss) or kind in _LANGUAGE:
        return task.loss(module, batch)
    outputs = task.outputs(module, batch)
    if kind in _CROSS_ENTROPY:
        return outputs, F.cross_entropy(next(tensors_in(getattr(outputs, "logits", outputs))), batch.targets)
    if kind in _ULTRALYTICS:
        judge: Any = module
        return outputs, judge.loss(batch.args[0], outputs)[0].sum()
    return outputs, None
