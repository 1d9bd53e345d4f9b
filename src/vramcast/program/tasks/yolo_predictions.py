"""What Ultralytics models are thought to predict, where their losses and their post-processing look at it.

All of it is drawn anew from the same seed at every call and is the same in every image, so that memory grows with the
batch as shapes do. Names and shapes are those of ultralytics 8.4 (utils/tal.py, models/utils/ops.py, utils/nms.py).
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import nn

from vramcast.program.probe import Probe
from vramcast.program.tasks.drawn_boxes import boxes_xywh

CONFIDENCE_MEAN = 0.1
"""Mean of the confidences that the assigner sees; exponential, as scores of a partly trained detector."""
SMALLEST_SIDE, LARGEST_SIDE = 8.0, 256.0
"""Sides of predicted boxes in pixels, log-uniform."""
LEAST_CONFIDENCE = 1e-6
"""Confidences that NMS sees are log-uniform between this and 1, for one class per anchor: half of them pass 0.001."""


def watch_losses(criterion: Any, probe: Probe, seed: int) -> None:
    """Let the assigners and matchers of a criterion see drawn predictions."""
    for part in (criterion, getattr(criterion, "one2many", None), getattr(criterion, "one2one", None)):
        assigner, matcher = getattr(part, "assigner", None), getattr(part, "matcher", None)
        if isinstance(assigner, nn.Module):
            assigner.register_forward_pre_hook(lambda _, args: _assume_anchored(args, probe, seed))
            _watch_overlaps(assigner, probe, seed)
        if isinstance(matcher, nn.Module):
            matcher.register_forward_pre_hook(lambda _, args: _assume_queries(args, probe, seed))


def watch_outputs(module: nn.Module, probe: Probe, seed: int) -> None:
    """Let post-processing see drawn predictions."""
    module.register_forward_hook(lambda running, _, outputs: None if running.training else _assume_outputs(outputs, probe, seed))


def predictions_of(outputs: Any) -> torch.Tensor:
    """Return the decoded predictions among the outputs of a model in evaluation mode."""
    while isinstance(outputs, (list, tuple)):
        outputs = outputs[0]
    assert isinstance(outputs, torch.Tensor)
    return outputs


def _assume_anchored(args: tuple[Any, ...], probe: Probe, seed: int) -> None:
    """Let scores N x A x C be exponential and boxes N x A x 4 (or 5, the angle 0) be centred on their anchors."""
    scores, boxes, anchors, *_ = args
    generator = torch.Generator().manual_seed(seed)
    count, channels = boxes.shape[1], boxes.shape[2]
    confidence = torch.empty(1, count, scores.shape[2]).exponential_(1 / CONFIDENCE_MEAN, generator=generator).clamp_(max=1)
    sides = _sides(count, generator)
    centres = anchors.detach().to("cpu", torch.float32)
    corners = torch.cat((centres - sides / 2, centres + sides / 2), 1)
    drawn = corners if channels == 4 else torch.cat((centres, sides, torch.zeros(count, 1)), 1)
    probe.assume((scores, boxes), (confidence.to(scores.dtype).expand(scores.shape), drawn.to(boxes.dtype).expand(boxes.shape)))


def _watch_overlaps(assigner: Any, probe: Probe, seed: int) -> None:
    """Draw overlaps of masks or keypoints, uniform, where an assigner compares those rather than boxes."""
    from ultralytics.utils.tal import TaskAlignedAssigner

    compare = getattr(assigner, "pair_overlaps", None)
    if compare is None or type(assigner).pair_overlaps is TaskAlignedAssigner.pair_overlaps:
        return

    @functools.wraps(compare)
    def overlaps_drawn(indices: Any, *args: Any, **kwargs: Any) -> torch.Tensor:
        overlaps: torch.Tensor = compare(indices, *args, **kwargs)
        images = args[0].shape[0]
        drawn = torch.rand(overlaps.shape[0] // images, generator=torch.Generator().manual_seed(seed))
        probe.assume([overlaps], [drawn.to(overlaps.dtype).repeat(images)])
        return overlaps

    assigner.pair_overlaps = overlaps_drawn


def _assume_queries(args: tuple[Any, ...], probe: Probe, seed: int) -> None:
    """Let the matcher's boxes N x Q x 4 be drawn as objects are, and its scores N x Q x C standard normal."""
    boxes, scores, *_ = args
    generator = torch.Generator().manual_seed(seed)
    drawn = boxes_xywh(boxes.shape[1], generator).to(boxes.dtype)
    logits = torch.randn(scores.shape[1:], generator=generator).to(scores.dtype)
    probe.assume((boxes, scores), (drawn.expand(boxes.shape), logits.expand(scores.shape)))


def _assume_outputs(outputs: Any, probe: Probe, seed: int) -> None:
    """Draw decoded predictions: N x (4 + C + extra) x A, or N x Q x 6 where the model selects by itself."""
    predictions = predictions_of(outputs)
    generator = torch.Generator().manual_seed(seed)
    shape = predictions.shape[1:]
    drawn = torch.zeros(shape)
    count, rows = (shape[0], drawn.T) if shape[1] == 6 else (shape[1], drawn)
    confidence = LEAST_CONFIDENCE ** torch.rand(count, generator=generator)
    rows[:2] = LARGEST_SIDE * torch.rand(2, count, generator=generator)
    rows[2:4] = _sides(count, generator).T
    rows[4] = confidence
    probe.assume([predictions], [drawn.to(predictions.dtype).expand(predictions.shape)])


def _sides(count: int, generator: torch.Generator) -> torch.Tensor:
    return SMALLEST_SIDE * (LARGEST_SIDE / SMALLEST_SIDE) ** torch.rand(count, 2, generator=generator)
