"""What torchvision's detection models are thought to predict, where training or post-processing looks at it.

Proposals and detections depend on what the heads predict (torchvision 0.28, models/detection). Those outputs are drawn
anew from the same seed at every call and are the same in every image, so that memory grows with the batch as shapes do.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe

PROPOSALS = "rpn.head"
"""Its outputs choose the proposals, in training as well."""
DETECTIONS = ("head", "roi_heads.box_predictor")
"""Their outputs choose the detections."""
SEEN_IN_TRAINING = {"SSD": {"cls_logits"}, "FCOS": {"bbox_regression"}, "RetinaNet": {"bbox_regression"}}
"""What of those training looks at too: the hardest negatives, and boxes that overlap (models/detection/ssd.py, ops/_utils.py `_loss_inter_union`)."""

DEVIATIONS = {"objectness": 1.0, "cls_logits": 0.5, "bbox_ctrness": 0.5, "class_logits": 1.0}
"""Standard deviations of drawn scores; all other outputs are offsets of boxes, with 0.1."""
OFFSET_DEVIATION = 0.1
PRIOR = -4.6
"""Mean of `cls_logits`: a probability of 0.01, to which RetinaNet and FCOS initialise it (models/detection/retinanet.py)."""


def watch_heads(module: nn.Module, probe: Probe, seed: int) -> None:
    """Let whatever looks at the heads' outputs see drawn ones."""
    batch = _BatchSize()
    module.register_forward_pre_hook(batch.note)
    seen_in_training = SEEN_IN_TRAINING.get(type(module).__name__, set())

    def assume_proposals(head: nn.Module, args: Any, outputs: Any) -> None:
        _assume(_named(outputs), probe, batch.size, seed)

    def assume_detections(head: nn.Module, args: Any, outputs: Any) -> None:
        seen = [(name, tensor) for name, tensor in _named(outputs) if name in seen_in_training or not head.training]
        _assume(seen, probe, batch.size, seed)

    for name, head in module.named_modules():
        if name == PROPOSALS:
            head.register_forward_hook(assume_proposals)
        elif name in DETECTIONS:
            head.register_forward_hook(assume_detections)


class _BatchSize:
    """How many images the running call was given."""

    def __init__(self) -> None:
        self.size = 1

    def note(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """Count the images (a forward pre-hook of the model)."""
        self.size = len(args[0])


def _assume(outputs: list[tuple[str, torch.Tensor]], probe: Probe, images: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in outputs:
        rows, *rest = tensor.shape
        deviation = DEVIATIONS.get(name, OFFSET_DEVIATION)
        drawn = deviation * torch.randn(rows // images, *rest, generator=generator) + (PRIOR if name == "cls_logits" else 0.0)
        probe.assume([tensor], [drawn.to(tensor.dtype).expand(images, *drawn.shape).reshape(tensor.shape)])


def _named(outputs: Any) -> list[tuple[str, torch.Tensor]]:
    """Return a head's outputs with their names: a dictionary, (objectness, offsets) per level, or (class logits, offsets) per proposal."""
    if isinstance(outputs, dict):
        return [(name, tensor) for name, tensor in outputs.items() if isinstance(tensor, torch.Tensor)]
    scores, offsets = outputs
    if isinstance(scores, torch.Tensor):
        return [("class_logits", scores), ("offsets", offsets)]
    return [*(("objectness", level) for level in scores), *(("offsets", level) for level in offsets)]
