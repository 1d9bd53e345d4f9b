"""Image and video classification: cross-entropy."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.interface import DEVICE, Batch, Setting, images, labels, tensors_in
from vramcast.program.tasks.language import sequence_length

FRAMES = 16
"""Frames per clip: the `clip_len` of torchvision's video reference training (references/video_classification, 0.28)."""


class Classify:
    """Images (or token ids, where the model takes those) to logits; auxiliary heads are weighted 0.4 as torchvision's reference does."""

    def prepare(self, module: nn.Module, setting: Setting, probe: Probe) -> None:
        """Nothing to prepare."""

    def batch(self, setting: Setting) -> Batch:
        """Images N x C x H x W or token ids N x S, labels N."""
        if setting.model.image is None and setting.model.sequence is not None:
            ids = labels(setting, setting.batch, sequence_length(setting))
            return Batch(keywords={"input_ids": ids}, targets=labels(setting, setting.batch))
        return Batch(args=(images(setting),), targets=labels(setting, setting.batch))

    def outputs(self, module: nn.Module, batch: Batch) -> Any:
        """Logits."""
        return module(*batch.args, **batch.keywords)

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Any, torch.Tensor]:
        """Cross-entropy of the logits, plus 0.4 of each auxiliary head's."""
        outputs = self.outputs(module, batch)
        logits, *auxiliary = [head for head in tensors_in(_heads(outputs)) if head is not None]
        loss = F.cross_entropy(logits, batch.targets)
        for head in auxiliary:
            loss = loss + 0.4 * F.cross_entropy(head, batch.targets)
        return outputs, loss

    def after_inference(self, module: nn.Module, outputs: Any, batch: Batch) -> Any:
        """Top-5 accuracy, as reference scripts count it."""
        logits = next(tensors_in(_heads(outputs)))
        return logits.topk(min(5, logits.shape[-1]), -1)[1]


class VideoClassify(Classify):
    """Clips N x C x T x H x W to logits."""

    def batch(self, setting: Setting) -> Batch:
        """Clips of `FRAMES` frames, labels N."""
        clips = torch.empty(setting.batch, setting.model.channels, FRAMES, *setting.image, dtype=setting.dtype, device=DEVICE)
        return Batch(args=(clips,), targets=labels(setting, setting.batch))


def _heads(outputs: Any) -> Any:
    """Return the logits of an output: a tensor, a named tuple of heads, or a transformers output."""
    return getattr(outputs, "logits", outputs) if not isinstance(outputs, (torch.Tensor, tuple)) else outputs
