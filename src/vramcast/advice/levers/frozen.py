"""A backbone that is not trained: no gradients, no optimizer states, and nothing kept for its backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vramcast.advice.lever import TRAINING_ONLY, Change, Lever, Situation

if TYPE_CHECKING:
    from torch import nn

_NAMES = ("backbone", "features", "encoder", "base_model")
"""What torchvision's, timm's and transformers' models call it; of others it is all but the last child."""


def _frozen(situation: Situation) -> tuple[Change, ...] | str:
    model, workload = situation.model, situation.workload
    if not workload.is_training:
        return TRAINING_ONLY
    if model is None:
        return "a number of parameters has no backbone"
    if workload.freeze or workload.lora is not None:
        return "parameters are frozen already"
    if model.task in ("causal-lm", "masked-lm", "seq2seq-lm"):
        return "of a language model adapters are trained while all else is frozen: see LoRA"
    from vramcast.sources.building import build_on_meta  # torch

    patterns = backbone_of(build_on_meta(model, workload.classes))
    if not patterns:
        return "it has no part before its head"
    frozen = workload.with_fields(freeze=patterns)
    if situation.is_ultralytics:
        code = f"model.train(..., freeze={len(patterns)})"
    else:
        code = f"for name in {patterns!r}: model.get_submodule(name).requires_grad_(False)"
    return (Change("frozen backbone", frozen, code, " ".join(f"--freeze {name}" for name in patterns)),)


def backbone_of(module: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules before the neck and the head; none where that cannot be told."""
    made: Any = module
    settings = getattr(module, "yaml", None)
    if isinstance(settings, dict) and "backbone" in settings:  # ultralytics/nn/tasks.py, 8.4, `parse_model`: layers in the YAML's order
        return tuple(f"model.{index}" for index in range(len(settings["backbone"])))
    children = [name for name, child in made.named_children() if any(True for _ in child.parameters())]
    named = tuple(name for name in children if name in _NAMES)
    return named if named and len(children) > len(named) else tuple(children[:-1])


FROZEN_BACKBONE = Lever(
    "frozen", "frozen backbone", computation="", risk="features stay as they were pre-trained", effort="one line", changes=_frozen
)
