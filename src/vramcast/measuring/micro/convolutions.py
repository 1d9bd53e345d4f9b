"""Convolutions as they occur in networks: sizes, types, layouts, and the three passes of each.

Called as autograd calls them (`aten::convolution`, `aten::convolution_backward` with one output wanted; torch 2.13), on the calling
thread, so that every allocation of the call can be told from all others.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from vramcast.measuring.micro.kernel import DTYPES, Call, Kernel


class Shape(NamedTuple):
    """Sizes of a 2-D convolution, square, padded to keep the image's size before striding."""

    batch: int
    channels: int
    filters: int
    image: int
    kernel: int
    stride: int
    groups: int = 1
    dilation: int = 1

    def __str__(self) -> str:
        return (
            f"n{self.batch} c{self.channels} k{self.filters} i{self.image} r{self.kernel} s{self.stride} g{self.groups} d{self.dilation}"
        )  # fmt: skip


_DENSE = ((64, 64, 56), (128, 128, 28), (256, 256, 14), (512, 512, 7), (64, 128, 112), (32, 64, 160), (256, 512, 20))
"""Channels, filters and image side of dense convolutions: ResNet's four stages, VGG's second, YOLO's first and last at 640 px."""
_STEMS = (
    Shape(16, 3, 64, 224, 7, 2),
    Shape(16, 3, 32, 224, 3, 2),
    Shape(16, 3, 16, 640, 3, 2),
    Shape(16, 3, 96, 224, 4, 4),
    Shape(16, 3, 768, 224, 16, 16),
)
_DEPTHWISE = tuple(Shape(16, channels, channels, image, kernel, 1, channels) for channels, image in ((96, 56), (384, 14)) for kernel in (3, 5, 7))
_GROUPED = tuple(Shape(16, channels, channels, image, 3, 1, 32) for channels, image in ((128, 56), (512, 14)))
_DILATED = (Shape(8, 512, 512, 65, 3, 1, 1, 2), Shape(8, 2048, 256, 65, 3, 1, 1, 12))
"""DeepLab's."""
_LAYOUTS = ("contiguous", "channels_last")
_MASKS = {"input_gradient": (True, False, False), "weight_gradient": (False, True, False)}


def shapes() -> tuple[Shape, ...]:
    """Return every shape once."""
    dense = (
        Shape(batch, channels, filters, image, kernel, stride)
        for (channels, filters, image), batch, kernel, stride in itertools.product(_DENSE, (1, 8, 32), (1, 3, 5), (1, 2))
    )
    return tuple(dict.fromkeys((*dense, *_STEMS, *_DEPTHWISE, *_GROUPED, *_DILATED)))


def kernels() -> Iterator[Kernel]:
    """List every shape in every type, layout and pass."""
    for shape, dtype, layout in itertools.product(shapes(), DTYPES, _LAYOUTS):
        for direction in ("forward", *_MASKS):
            yield Kernel("convolution", str(shape), dtype, layout, direction, _Maker(shape, dtype, layout, direction))


@dataclass(frozen=True, slots=True)
class _Maker:
    shape: Shape
    dtype: str
    layout: str
    direction: str

    def __call__(self, device: str) -> Call:
        shape, memory_format = self.shape, torch.channels_last if self.layout == "channels_last" else torch.contiguous_format
        settings: dict[str, Any] = {"dtype": DTYPES[self.dtype], "device": device}
        images = torch.empty(shape.batch, shape.channels, shape.image, shape.image, **settings).to(memory_format=memory_format)
        weights = torch.empty(shape.filters, shape.channels // shape.groups, shape.kernel, shape.kernel, **settings).to(memory_format=memory_format)
        padding = shape.dilation * (shape.kernel - 1) // 2
        steps = ([shape.stride] * 2, [padding] * 2, [shape.dilation] * 2, False, [0, 0], shape.groups)
        if self.direction == "forward":
            return lambda: torch.ops.aten.convolution(images, weights, None, *steps)
        side = (shape.image + 2 * padding - shape.dilation * (shape.kernel - 1) - 1) // shape.stride + 1
        gradient = torch.empty(shape.batch, shape.filters, side, side, **settings).to(memory_format=memory_format)
        return lambda: torch.ops.aten.convolution_backward(gradient, images, weights, None, *steps, _MASKS[self.direction])
