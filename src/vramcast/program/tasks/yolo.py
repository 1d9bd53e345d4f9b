"""Ultralytics models: their own losses on drawn objects.

Batches have the keys and shapes of `YOLODataset.collate_fn` (ultralytics 8.4, data/dataset.py). The assigner looks at
predictions; what it sees is drawn (`yolo_predictions.py`), everything behind it follows from that.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.drawn_boxes import STATEMENT, boxes_xywh
from vramcast.program.tasks.interface import DEVICE, Batch, Setting, images, labels
from vramcast.program.tasks.yolo_assigners import replace_assigners
from vramcast.program.tasks.yolo_predictions import predictions_of, watch_losses, watch_outputs
from vramcast.sources.torchvision_import import import_torchvision

MASK_RATIO = 4
"""Masks are a quarter of the image's size (`mask_ratio` in cfg/default.yaml, ultralytics 8.4)."""


class Yolo:
    """Detection, segmentation, pose and oriented boxes; also RT-DETR."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Give the module its hyperparameters and criterion, and let losses and post-processing see drawn predictions."""
        model: Any = module
        _move_head(model.model[-1])
        watch_outputs(module, probe, setting.workload.seed)
        if setting.workload.is_training:
            from ultralytics.cfg import get_cfg

            model.args = get_cfg()
            model.nc = setting.classes
            model.criterion = model.init_criterion()
            replace_assigners(model.criterion, setting.workload.habits.assigner)
            watch_losses(model.criterion, probe, setting.workload.seed)
            probe.caveat(STATEMENT.format(count=setting.targets))

    def batch(self, setting: Setting) -> Batch:
        """The dictionary the model's `loss` takes: images N x 3 x H x W and the objects of all images in one table."""
        count = setting.targets
        generator = torch.Generator().manual_seed(setting.workload.seed)
        boxes = boxes_xywh(count, generator)
        total = setting.batch * count
        content: dict[str, Any] = {
            "img": images(setting),
            "cls": torch.zeros(total, 1).to(DEVICE),
            "bboxes": boxes.repeat(setting.batch, 1).to(DEVICE),
            "batch_idx": torch.arange(setting.batch, dtype=torch.float32).repeat_interleave(count).to(DEVICE),
        }
        if setting.model.task == "yolo-obb":
            angles = torch.zeros(total, 1)
            content["bboxes"] = torch.cat((boxes.repeat(setting.batch, 1), angles), 1).to(DEVICE)
        if setting.model.task == "yolo-segment":
            content |= _masks(setting, boxes)
        if setting.model.task == "yolo-pose":
            points = torch.cat((boxes[:, None, :2].expand(count, 17, 2), torch.full((count, 17, 1), 2.0)), 2)
            content["keypoints"] = points.repeat(setting.batch, 1, 1).to(DEVICE)
        return Batch(args=(content,))

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Decoded predictions (in evaluation mode)."""
        return module(batch.args[0]["img"])

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The model's own loss, summed over its parts as the trainer does."""
        loss, items = module(batch.args[0])
        return items, loss.sum()

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Non-maximum suppression as validation runs it (ultralytics 8.4, models/yolo/detect/val.py and engine/validator.py).

        It goes through torchvision, which `AutoBackend.warmup` imports for that; its limit on time is off, as a forecast's clock is not the card's.
        """
        import_torchvision()
        from ultralytics.utils.nms import non_max_suppression

        model: Any = module
        head = model.model[-1]
        is_rotated = type(head).__name__.startswith("OBB")
        return non_max_suppression(
            predictions_of(outputs), conf_thres=0.01 if is_rotated else 0.001, iou_thres=0.7, multi_label=True, max_det=300, nc=head.nc,
            end2end=bool(getattr(head, "end2end", False)), rotated=is_rotated, max_time_img=math.inf,
        )  # fmt: skip


class YoloClassify:
    """Ultralytics' classification models."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Nothing to prepare."""

    def batch(self, setting: Setting) -> Batch:
        """Images and labels, by the keys of `ClassificationDataset`."""
        return Batch(args=({"img": images(setting), "cls": labels(setting, setting.batch)},))

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Class probabilities."""
        return module(batch.args[0]["img"])

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """Cross-entropy through the model's own criterion."""
        loss, items = module(batch.args[0])
        return items, loss.sum()

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Top-5 classes."""
        scores = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        return scores.topk(min(5, scores.shape[1]), 1)[1]


def _move_head(head: Any) -> None:
    """Move what a head keeps as plain attributes, as `BaseModel._apply` does on the way to a GPU (ultralytics 8.4, nn/tasks.py)."""
    for name in ("stride", "anchors", "strides", "valid_mask"):
        if isinstance(getattr(head, name, None), torch.Tensor):
            setattr(head, name, getattr(head, name).to(DEVICE))


def _masks(setting: Setting, boxes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the overlapping index mask of each image, N x H/4 x W/4 (uint8), with the drawn boxes filled in."""
    height, width = (side // MASK_RATIO for side in setting.image)
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for index, (x, y, w, h) in enumerate(boxes.tolist()):
        top, left = int((y - h / 2) * height), int((x - w / 2) * width)
        mask[top : top + max(int(h * height), 1), left : left + max(int(w * width), 1)] = index + 1
    overlapping = mask.expand(setting.batch, height, width).contiguous()
    return {"masks": overlapping.to(DEVICE), "sem_masks": torch.zeros_like(overlapping).to(DEVICE)}
