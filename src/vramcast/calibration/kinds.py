"""Which kind a network is of: the unit in which measured cases are comparable."""

from __future__ import annotations

from collections.abc import Collection

from vramcast.calibration.families import family_of

CONVOLUTIONAL, VISION_TRANSFORMER, YOLO, LANGUAGE, OTHER = "convolutional", "vision-transformer", "yolo", "language", "other"
WORDS = {
    CONVOLUTIONAL: "convolutional networks",
    VISION_TRANSFORMER: "vision transformers",
    YOLO: "YOLO networks",
    LANGUAGE: "language models",
    OTHER: "other networks",
}
"""Kinds in words."""
_OF_FAMILY = {
    "yolo": YOLO,
    "rt-detr": YOLO,  # the same trainer, head and loss; a family of its own would have next to no cases
    "llm": LANGUAGE,
    "bert": LANGUAGE,
    **dict.fromkeys(("swin", "maxvit", "efficient-vit", "vit"), VISION_TRANSFORMER),
    **dict.fromkeys(("mobile", "efficientnet", "convnext", "regnet", "plain", "dense", "resnet"), CONVOLUTIONAL),
}
_SOURCES_OF_KNOWN_NAMES = {"timm", "torchvision", "ultralytics", "transformers"}
"""Names elsewhere are a user's own, and say nothing."""


def kind_of_name(model: str) -> str:
    """Return the kind of a model by its full name, `timm:resnet50d`: of a folder, by its own name without the path."""
    source, _, name = model.partition(":")
    if source not in _SOURCES_OF_KNOWN_NAMES:
        return OTHER
    return _OF_FAMILY.get(family_of(f"{source}:{name.replace(chr(92), '/').rstrip('/').rpartition('/')[2]}"), OTHER)


def kind_of(model: str, operators: Collection[str]) -> str:
    """Return the kind of a traced model: by its name, and where that says nothing by the ATen operators it calls.

    Tokens are looked up and nothing is convolved: a language model. Attention beside convolutions (a vision transformer cuts its patches
    with one): a vision transformer. Convolutions alone: a convolutional network.
    """
    named = kind_of_name(model)
    return named if named != OTHER else _by_operators(operators)


def _by_operators(operators: Collection[str]) -> str:
    names = {operator.rpartition(":")[2] for operator in operators}
    if "convolution" not in names:
        return LANGUAGE if "embedding" in names else OTHER
    attends = any(name.startswith("_scaled_dot_product") for name in names) or {"bmm", "_softmax"} <= names
    return VISION_TRANSFORMER if attends else CONVOLUTIONAL
