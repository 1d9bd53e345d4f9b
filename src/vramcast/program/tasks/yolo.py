"""Ultralytics models: their own losses on drawn objects.

Batches have the keys and shapes of `YOLODataset.collate_fn` (ultralytics 8.4, data/dataset.py). The assigner looks at
predictions; what it sees is drawn (see `_assume_predictions`), everything behind it follows from that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.drawn_boxes import STATEMENT, boxes_xywh
from vramcast.program.tasks.interface import DEVICE, Batch, Setting, images, labels

MASK_RATIO = 4
"""Masks are a quarter of the image's size (`mask_ratio` in cfg/default.yaml, ultralytics 8.4)."""
CONFIDENCE_MEAN = 0.1
"""Mean of the drawn confidences; they are exponentially distributed, as scores of a partly trained detector."""


class Yolo:
    """Detection, segmentation, pose and oriented boxes; also RT-DETR."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Give the module its hyperparameters and criterion, and let the assigner see drawn predictions."""
        if not setting.workload.is_training:
            return
        from ultralytics.cfg import get_cfg

        module.args = get_cfg()
        module.nc = setting.classes
        module.criterion = module.init_criterion()
        criterion: Any = module.criterion
        generator = torch.Generator().manual_seed(setting.workload.seed)
        for part in (criterion, getattr(criterion, "one2many", None), getattr(criterion, "one2one", None)):
            assigner = getattr(part, "assigner", None)
            if isinstance(assigner, nn.Module):
                assigner.register_forward_pre_hook(lambda _, args: _assume_predictions(args, probe, generator))
            matcher = getattr(part, "matcher", None)
            if isinstance(matcher, nn.Module):
                matcher.register_forward_pre_hook(lambda _, args: _assume_queries(args, probe, generator))
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
        return module.forward(batch.args[0]["img"])

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """The model's own loss, summed over its parts as the trainer does."""
        loss, items = module(batch.args[0])
        return items, loss.sum()

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Non-maximum suppression, as validation and prediction run it."""
        from ultralytics.utils.nms import non_max_suppression

        predictions = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        if isinstance(predictions, (list, tuple)):
            predictions = predictions[0]
        if getattr(module, "end2end", False) or predictions.shape[-1] == 6:
            return predictions
        return non_max_suppression(predictions, conf_thres=0.001, iou_thres=0.7, max_det=300, nc=getattr(module, "nc", 0))


class YoloClassify:
    """Ultralytics' classification models."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Nothing to prepare."""

    def batch(self, setting: Setting) -> Batch:
        """Images and labels, by the keys of `ClassificationDataset`."""
        return Batch(args=({"img": images(setting), "cls": labels(setting, setting.batch)},))

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Class probabilities."""
        return module.forward(batch.args[0]["img"])

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """Cross-entropy through the model's own criterion."""
        loss, items = module(batch.args[0])
        return items, loss.sum()

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Top-5 classes."""
        scores = outputs[0] if isinstance(outputs, (list, tuple)) else outputs
        return scores.topk(min(5, scores.shape[1]), 1)[1]


def _masks(setting: Setting, boxes: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the overlapping index mask of each image, N x H/4 x W/4 (uint8), with the drawn boxes filled in."""
    height, width = (side // MASK_RATIO for side in setting.image)
    mask = torch.zeros(height, width, dtype=torch.uint8)
    for index, (x, y, w, h) in enumerate(boxes.tolist()):
        top, left = int((y - h / 2) * height), int((x - w / 2) * width)
        mask[top : top + max(int(h * height), 1), left : left + max(int(w * width), 1)] = index + 1
    overlapping = mask.expand(setting.batch, height, width).contiguous()
    return {"masks": overlapping.to(DEVICE), "sem_masks": torch.zeros_like(overlapping).to(DEVICE)}


def _assume_predictions(args: tuple[Any, ...], probe: Probe, generator: torch.Generator) -> None:
    """Let the assigner's first two arguments, scores N x A x C and boxes N x A x 4 or 5, hold drawn predictions.

    Scores are exponential with mean `CONFIDENCE_MEAN`. Boxes are centred on their anchor, sides log-uniform between
    8 and 256 pixels; the same in every image.
    """
    scores, boxes, anchors, *_ = args
    count, channels = boxes.shape[1], boxes.shape[2]
    confidence = torch.empty(1, count, scores.shape[2]).exponential_(1 / CONFIDENCE_MEAN, generator=generator).clamp_(max=1)
    low, high = torch.tensor(8.0).log(), torch.tensor(256.0).log()
    sides = (low + (high - low) * torch.rand(1, count, 2, generator=generator)).exp()
    centres = _grid(anchors)
    if channels == 5:
        drawn = torch.cat((centres, sides, torch.zeros(1, count, 1)), 2)
    else:
        drawn = torch.cat((centres - sides / 2, centres + sides / 2), 2)
    probe.assume((scores, boxes), (confidence.to(scores.dtype).expand(scores.shape), drawn.to(boxes.dtype).expand(boxes.shape)))


def _grid(anchors: torch.Tensor) -> torch.Tensor:
    """Return the anchors' centres, 1 x A x 2, on the CPU."""
    return anchors.detach().to("cpu", torch.float32)[None]


def _assume_queries(args: tuple[Any, ...], probe: Probe, generator: torch.Generator) -> None:
    """Let the matcher's boxes N x Q x 4 and scores N x Q x C hold drawn predictions."""
    boxes, scores, *_ = args
    drawn = boxes_xywh(boxes.shape[1], generator)[None].to(boxes.dtype)
    logits = torch.randn(1, *scores.shape[1:], generator=generator).to(scores.dtype)
    probe.assume((boxes, scores), (drawn.expand(boxes.shape), logits.expand(scores.shape)))
