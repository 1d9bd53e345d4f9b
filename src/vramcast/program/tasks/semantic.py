"""Semantic segmentation: dense cross-entropy, auxiliary head at half weight (torchvision references/segmentation, 0.28)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import Batch, Setting, images, labels


class SemanticSegment:
    """Images to per-pixel logits under the keys `out` and `aux`."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Nothing to prepare."""

    def batch(self, setting: Setting) -> Batch:
        """Images N x C x H x W, label maps N x H x W."""
        return Batch(args=(images(setting),), targets=labels(setting, setting.batch, *setting.image))

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Logits per head."""
        return module(*batch.args)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """Cross-entropy per pixel; label 255 is ignored."""
        outputs = module(*batch.args)
        losses = {name: F.cross_entropy(head, batch.targets, ignore_index=255) for name, head in outputs.items()}
        loss = losses["out"]
        return outputs, loss + 0.5 * losses["aux"] if "aux" in losses else loss

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """The label of each pixel."""
        return outputs["out"].argmax(1)
