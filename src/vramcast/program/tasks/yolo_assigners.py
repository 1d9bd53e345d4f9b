"""Task-aligned assigners as older trainers computed them: which tensors they make for the pairs of objects and anchors, and how long those live.

Both stand in for the installed library's assigner, take what it takes and return what it returns. All tensors of pairs are
N x O x A: images, objects of the fullest image, anchors (8,400 at 640 pixels). Bytes below are per pair and fp32.

- `AllPairs`: ultralytics 8.0.134 to 8.4.95 (utils/tal.py; the same lines in every version looked at: 8.0.134, 8.0.154, 8.0.196, 8.0.227,
  8.1.0, 8.2.90, 8.3.0, 8.3.40, 8.3.100, 8.3.226, 8.4.0, 8.4.31, 8.4.60, 8.4.90, 8.4.95; 8.4.100 makes the mask side by side). Distances of all
  anchors from all four sides are laid side by side, 16 bytes, while their halves of 8 bytes are still held; later tensors are of 4 bytes each.
- `OneHot`: the yolov9 repository (WongKinYiu/yolov9 5b1ea9a, utils/tal/assigner.py). Overlaps are computed of every pair rather than of those
  that touch, and the chosen anchors are marked in a one-hot tensor of int64: 8 bytes for each of the ten anchors an object may choose.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Pairs = torch.Tensor
"""N x O x A."""


class AllPairs(nn.Module):
    """The assigner of ultralytics 8.0.134 to 8.4.95, with the settings of the installed one; rotated boxes are compared as it does."""

    def __init__(self, installed: Any) -> None:
        super().__init__()
        self.installed = installed
        self.choices, self.kept, self.classes = installed.topk, installed.topk2, installed.num_classes
        self.alpha, self.beta, self.eps = installed.alpha, installed.beta, installed.eps
        self.overlap = installed.iou_calculation

    @torch.no_grad()
    def forward(
        self, scores: torch.Tensor, boxes: torch.Tensor, anchors: torch.Tensor, labels: torch.Tensor, objects: torch.Tensor,
        is_object: torch.Tensor, **_: Any,
    ) -> tuple[torch.Tensor, ...]:  # fmt: skip
        """Return labels N x A, boxes N x A x 4, scores N x A x C, foreground N x A and object N x A of each anchor.

        Args: scores N x A x C, boxes N x A x 4 (5 if rotated), anchors A x 2, labels N x O x 1, objects N x O x 4 (5), is_object N x O x 1.
        """
        if not objects.shape[1]:
            return tuple(self.installed(scores, boxes, anchors, labels, objects, is_object))
        chosen, metric, overlaps = self._choose(scores, boxes, anchors, labels, objects, is_object)
        owner, count, chosen = self._resolve(chosen, overlaps, metric)
        wanted_labels, wanted_boxes, wanted_scores = _targets(labels, objects, owner, count, self.classes)
        metric *= chosen
        best_metric = metric.amax(-1, keepdim=True)
        best_overlap = (overlaps * chosen).amax(-1, keepdim=True)
        weight = (metric * best_overlap / (best_metric + self.eps)).amax(-2).unsqueeze(-1)
        return wanted_labels, wanted_boxes, wanted_scores * weight, count.bool(), owner

    def _choose(
        self, scores: torch.Tensor, boxes: torch.Tensor, anchors: torch.Tensor, labels: torch.Tensor, objects: torch.Tensor, is_object: torch.Tensor
    ) -> tuple[Pairs, Pairs, Pairs]:
        """Return which anchors objects choose (as floats), the alignment and the overlap of each pair."""
        inside = self._inside(anchors, objects, is_object)
        metric, overlaps = self._compare(scores, boxes, labels, objects, inside * is_object)
        return self._best(metric, is_object) * inside * is_object, metric, overlaps

    def _inside(self, anchors: torch.Tensor, objects: torch.Tensor, is_object: torch.Tensor) -> Pairs:
        """Return where an anchor lies within an object; of upright boxes as floats, after 32 bytes a pair."""
        if objects.shape[-1] != 4:
            rotated: torch.Tensor = self.installed.select_candidates_in_gts(anchors, objects, is_object)
            return rotated
        return _distances(anchors, objects).amin(3).gt_(self.eps)

    def _compare(self, scores: torch.Tensor, boxes: torch.Tensor, labels: torch.Tensor, objects: torch.Tensor, pairs: Pairs) -> tuple[Pairs, Pairs]:
        """Return alignment and overlap: tensors of all pairs, filled where pairs touch."""
        pairs = pairs.bool()
        overlaps = torch.zeros(pairs.shape, dtype=boxes.dtype, device=boxes.device)
        confidence = torch.zeros(pairs.shape, dtype=scores.dtype, device=scores.device)
        confidence[pairs] = _scores_of_labels(scores, labels)[pairs]
        predicted = boxes.unsqueeze(1).expand(-1, pairs.shape[1], -1, -1)[pairs]
        wanted = objects.unsqueeze(2).expand(-1, -1, pairs.shape[2], -1)[pairs]
        overlaps[pairs] = self.overlap(wanted, predicted)
        return confidence.pow(self.alpha) * overlaps.pow(self.beta), overlaps

    def _best(self, metric: Pairs, is_object: torch.Tensor) -> Pairs:
        """Return the anchors that align best, each once: counted in bytes, then as floats."""
        best = metric.topk(self.choices, -1).indices
        best.masked_fill_(~is_object.expand(-1, -1, self.choices).bool(), 0)
        count = torch.zeros(metric.shape, dtype=torch.int8, device=metric.device)
        count.scatter_add_(-1, best, torch.ones_like(best, dtype=torch.int8))
        count.masked_fill_(count > 1, 0)
        return count.to(metric.dtype)

    def _resolve(self, chosen: Pairs, overlaps: Pairs, metric: Pairs) -> tuple[torch.Tensor, torch.Tensor, Pairs]:
        """Leave an anchor that several objects choose to the one it overlaps most; return owner, count and choice.

        Trainers skip this where no anchor is chosen twice, which does not happen with objects to speak of.
        """
        several = (chosen.sum(-2).unsqueeze(1) > 1).expand(-1, chosen.shape[1], -1)
        closest = torch.zeros(chosen.shape, dtype=chosen.dtype, device=chosen.device)
        closest.scatter_(1, overlaps.argmax(1).unsqueeze(1), 1)
        chosen = torch.where(several, closest, chosen).float()
        if self.kept != self.choices:  # end-to-end heads, since 8.4
            best = (metric * chosen).topk(self.kept, -1).indices
            chosen *= torch.zeros(chosen.shape, dtype=chosen.dtype, device=chosen.device).scatter_(-1, best, 1.0)
        return chosen.argmax(-2), chosen.sum(-2), chosen


class OneHot(AllPairs):
    """The assigner of the yolov9 repository."""

    def _choose(
        self, scores: torch.Tensor, boxes: torch.Tensor, anchors: torch.Tensor, labels: torch.Tensor, objects: torch.Tensor, is_object: torch.Tensor
    ) -> tuple[Pairs, Pairs, Pairs]:
        """Return choice, alignment and overlap, all computed of all pairs."""
        overlaps = self.overlap(objects.unsqueeze(2), boxes.unsqueeze(1))
        metric = _scores_of_labels(scores, labels).pow(self.alpha) * overlaps.pow(self.beta)
        inside = self._inside(anchors, objects, is_object)
        return self._best(metric * inside, is_object) * inside * is_object, metric, overlaps

    def _best(self, metric: Pairs, is_object: torch.Tensor) -> Pairs:
        """Return the anchors that align best: one-hot of each, 80 bytes a pair with ten choices, summed to int64.

        The sum is made of the indices rather than of the one-hot tensor, which may be too large for its values to be known.
        """
        best = metric.topk(self.choices, -1).indices
        best = torch.where(is_object.expand(-1, -1, self.choices).bool(), best, 0)
        one_hot = torch.zeros(*best.shape, metric.shape[-1], dtype=torch.int64, device=metric.device)
        count = torch.zeros(metric.shape, dtype=torch.int64, device=metric.device).scatter_add_(-1, best, torch.ones_like(best))
        del one_hot
        return torch.where(count > 1, 0, count).to(metric.dtype)

    def _resolve(self, chosen: Pairs, overlaps: Pairs, metric: Pairs) -> tuple[torch.Tensor, torch.Tensor, Pairs]:
        """Leave an anchor to the object it overlaps most: one-hot, int64, then floats."""
        several = (chosen.sum(-2).unsqueeze(1) > 1).repeat(1, chosen.shape[1], 1)
        one_hot = torch.zeros(chosen.shape, dtype=torch.int64, device=chosen.device).scatter_(1, overlaps.argmax(1).unsqueeze(1), 1)
        closest = one_hot.to(overlaps.dtype)
        chosen = torch.where(several, closest, chosen)
        return chosen.argmax(-2), chosen.sum(-2), chosen


ASSIGNERS: dict[str, type[AllPairs]] = {"all-pairs": AllPairs, "one-hot": OneHot}
"""Habit of a workload -> what takes the place of the installed library's assigner."""


def replace_assigners(criterion: Any, habit: str) -> None:
    """Let the parts of a criterion assign as a habit says; what has no task-aligned assigner (RT-DETR) is left as it is."""
    if habit == "library":
        return
    for part in (criterion, getattr(criterion, "one2many", None), getattr(criterion, "one2one", None)):
        assigner = getattr(part, "assigner", None)
        if part is not None and isinstance(assigner, nn.Module):
            part.assigner = ASSIGNERS[habit](assigner)


def _distances(anchors: torch.Tensor, objects: torch.Tensor) -> torch.Tensor:
    """Return the distances of anchors from the sides of objects, N x O x A x 4, with both halves held until they are joined."""
    near, far = objects.view(-1, 1, 4).chunk(2, 2)
    return torch.cat((anchors[None] - near, far - anchors[None]), 2).view(*objects.shape[:2], anchors.shape[0], 4)


def _scores_of_labels(scores: torch.Tensor, labels: torch.Tensor) -> Pairs:
    """Return each anchor's score for each object's class."""
    images = torch.arange(scores.shape[0], device=scores.device)[:, None].expand(-1, labels.shape[1])
    picked: torch.Tensor = scores[images, :, labels.long().squeeze(-1)]
    return picked


def _targets(
    labels: torch.Tensor, objects: torch.Tensor, owner: torch.Tensor, count: torch.Tensor, classes: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return label, box and one-hot scores (int64, N x A x C) that each anchor is to learn."""
    row = owner + labels.shape[1] * torch.arange(labels.shape[0], device=labels.device)[:, None]
    wanted_labels = labels.long().flatten()[row].clamp_(0)
    wanted_boxes = objects.view(-1, objects.shape[-1])[row]
    one_hot = torch.zeros(*wanted_labels.shape, classes, dtype=torch.int64, device=labels.device)
    one_hot.scatter_(2, wanted_labels.unsqueeze(-1), 1)
    is_foreground = count[:, :, None].repeat(1, 1, classes)
    return wanted_labels, wanted_boxes, torch.where(is_foreground > 0, one_hot, 0)
