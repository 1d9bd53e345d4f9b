"""torchvision's detection models: their own losses on drawn objects.

Inputs are a list of images and a list of target dictionaries (torchvision 0.28, models/detection/generalized_rcnn.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.drawn_boxes import PREDICTIONS_STATEMENT, STATEMENT, boxes_xyxy
from vramcast.program.tasks.interface import DEVICE, Batch, Setting
from vramcast.program.tasks.torchvision_predictions import watch_heads

KEYPOINTS = 17
LARGEST_SIZE_STATEMENT = "In training, the model resizes each image to one of {sizes} pixels by chance; every image is taken at the largest."


class TorchvisionDetect:
    """Boxes, masks and keypoints."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Let proposals and detections be chosen among drawn predictions."""
        watch_heads(module, probe, setting.workload.seed)
        _resize_to_the_largest(module, setting, probe)
        probe.caveat(STATEMENT.format(count=setting.targets) if setting.workload.is_training else PREDICTIONS_STATEMENT)

    def batch(self, setting: Setting) -> Batch:
        """Images C x H x W and a target dictionary for each."""
        height, width = setting.image
        pictures = [torch.empty(setting.model.channels, height, width, dtype=setting.dtype, device=DEVICE).normal_() for _ in range(setting.batch)]
        if not setting.workload.is_training:
            return Batch(args=(pictures,))
        return Batch(args=(pictures,), targets=[_target(setting) for _ in range(setting.batch)])

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Detections per image."""
        return module(*batch.args)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The sum of the losses the model returns."""
        losses = module(*batch.args, batch.targets)
        return losses, sum(losses.values())

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """The model's own post-processing has run already."""
        return outputs


def _resize_to_the_largest(module: nn.Module, setting: Setting, probe: Probe) -> None:
    """Leave one of several sizes that training chooses from (torchvision/models/detection/transform.py `torch_choice`, 0.28).

    As with multi-scale training, the largest counts: some image of a large batch gets it, and all are padded to that.
    """
    transform = getattr(module, "transform", None)
    sizes = getattr(transform, "min_size", ())
    if transform is not None and setting.workload.is_training and len(sizes) > 1:
        transform.min_size = (max(sizes),)
        probe.caveat(LARGEST_SIZE_STATEMENT.format(sizes=", ".join(map(str, sizes))))


def _target(setting: Setting) -> dict[str, torch.Tensor]:
    height, width = setting.image
    count = setting.targets
    boxes = boxes_xyxy(count, setting.image, torch.Generator().manual_seed(setting.workload.seed))
    target = {"boxes": boxes.to(DEVICE), "labels": torch.ones(count, dtype=torch.int64).to(DEVICE)}
    if setting.model.task == "instance-segment":
        target["masks"] = torch.zeros(count, height, width, dtype=torch.uint8, device=DEVICE)
    if setting.model.task == "keypoints":
        centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        points = torch.cat((centres.expand(count, KEYPOINTS, 2), torch.ones(count, KEYPOINTS, 1)), 2)
        target["keypoints"] = points.to(DEVICE)
    return target
