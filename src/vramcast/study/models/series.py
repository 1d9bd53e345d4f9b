"""Which models are sizes of one another: names that differ in a size alone, `yolo11*`, `vit_*_patch16_224`, `resnet*d`."""

from __future__ import annotations

import re

SIZES = frozenset(
    "zepto atto femto pico nano tiny small mediumd medium base so150m so400m large xlarge xxlarge huge giant gigantic xxsmall xsmall".split()
)
"""timm 1.0, torchvision 0.28 and ultralytics 8.4: words for sizes."""
_LETTERS = frozenset("n t s m b c e l h x xs xxs xl xxl".split())
_YOLO = re.compile(r"(yolo(?:e-)?v?(?:\d\d?))([a-z])((?:-.*)?)")
_PARTS = re.compile(r"([_\-.])")


def series_of(model: str) -> str:
    """Return the full name with a `*` for the size; names without a size, or where it is not known, are series of their own.

    A size is a letter (`yolo11n`, `swin_t`) or a word (`convnext_tiny`); where there is neither, the first number (`resnet50`, `vgg16_bn`).
    """
    source, colon, name = model.partition(":")
    return f"{source}{colon}{_starred(name)}" if colon else _starred(model)


def _starred(name: str) -> str:
    scaled = _YOLO.fullmatch(name)
    if scaled is not None:
        return f"{scaled[1]}*{scaled[3]}"
    parts = _PARTS.split(name)
    for known in (SIZES, _LETTERS):
        for index, part in enumerate(parts[1:], 1):
            if part in known:
                return "".join([*parts[:index], "*", *parts[index + 1 :]])
    return re.sub(r"(?<![v\d])\d+(?:\.\d+)?", "*", name, count=1)
