"""A convolution as cuDNN sees it, read off an operator call."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from vramcast.trace import OperatorCall, TensorSpec
from vramcast.units import round_up
from vramcast.workspace.tensors import given, is_channels_last, is_contiguous, item_bytes


class Direction(enum.Enum):
    """Which of cuDNN's three convolutions."""

    FORWARD = enum.auto()
    INPUT_GRADIENT = enum.auto()
    WEIGHT_GRADIENT = enum.auto()


@dataclass(frozen=True, slots=True)
class Convolution:
    """Sizes, type and layout. A transposed convolution is the one it is the gradient of: image and output swap places."""

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    image: tuple[int, ...]
    """Height and width (depth before them in 3-D) of what is convolved."""
    output: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    is_transposed: bool
    is_channels_last: bool
    dtype: str
    item_bytes: int

    @property
    def is_depthwise(self) -> bool:
        """One filter bank per input channel (`is_depthwise`, aten/src/ATen/native/Convolution.cpp)."""
        return self.groups > 1 and self.groups == self.in_channels

    @property
    def is_pointwise(self) -> bool:
        """A matrix product over channels."""
        return all(size == 1 for size in self.kernel)

    @property
    def is_unit_stride(self) -> bool:
        """Neither strided nor dilated nor grouped: what Winograd and FFT engines take."""
        return self.groups == 1 and all(step == 1 for step in (*self.stride, *self.dilation))

    @property
    def weight_elements(self) -> int:
        """Number of weights."""
        return self.out_channels * (self.in_channels // self.groups) * math.prod(self.kernel)

    def image_bytes(self, channel_bytes: int) -> int:
        """Return the bytes of what is convolved, channels padded to a multiple of `channel_bytes`."""
        return self.batch * math.prod(self.image) * round_up(self.in_channels * self.item_bytes, channel_bytes)

    def output_bytes(self, channel_bytes: int) -> int:
        """Return the bytes of what comes out, padded likewise."""
        return self.batch * math.prod(self.output) * round_up(self.out_channels * self.item_bytes, channel_bytes)

    def direction(self, asked: Direction) -> Direction:
        """Return the direction cuDNN runs: a transposed convolution's forward is its mirror image's gradient of the input."""
        mirrored = {Direction.FORWARD: Direction.INPUT_GRADIENT, Direction.INPUT_GRADIENT: Direction.FORWARD}
        return mirrored.get(asked, asked) if self.is_transposed else asked


def of_forward(call: OperatorCall) -> Convolution:
    """Read `convolution(input, weight, bias, …)`."""
    source, weight = given(call, 0, 1)
    return _read(call, source, weight, _output_size(call, source, weight))


def of_backward(call: OperatorCall) -> Convolution:
    """Read `convolution_backward(grad_output, input, weight, …)`."""
    grad_output, source, weight = given(call, 0, 1, 2)
    return _read(call, source, weight, grad_output.shape[2:])


def wants_channels_last(*specs: TensorSpec) -> bool:
    """Tell whether torch picks channels-last: when one tensor is, and is not contiguous too (`cudnn_conv_suggest_memory_format`)."""
    return any(len(spec.shape) > 3 and not is_contiguous(spec) and is_channels_last(spec) for spec in specs)


def _read(call: OperatorCall, source: TensorSpec, weight: TensorSpec, output: tuple[int, ...]) -> Convolution:
    is_transposed, groups = bool(call.attributes["transposed"]), call.attributes["groups"]
    assert isinstance(groups, int)
    sizes = (source.shape[1], source.shape[2:]), (weight.shape[1] * groups if is_transposed else weight.shape[0], output)
    (in_channels, image), (out_channels, pixels) = sizes[::-1] if is_transposed else sizes
    return Convolution(
        batch=source.shape[0], in_channels=in_channels, out_channels=out_channels, groups=groups, image=image, output=pixels,
        kernel=weight.shape[2:], stride=_sizes(call, "stride", len(image)), dilation=_sizes(call, "dilation", len(image)),
        is_transposed=is_transposed, is_channels_last=wants_channels_last(source, weight), dtype=source.dtype, item_bytes=item_bytes(source),
    )  # fmt: skip


def _output_size(call: OperatorCall, source: TensorSpec, weight: TensorSpec) -> tuple[int, ...]:
    """Return the spatial size of the output (`conv_output_size`, `conv_input_size`, aten/src/ATen/native/ConvUtils.h)."""
    dims = len(source.shape) - 2
    names = ("stride", "padding", "dilation", "output_padding")
    per_dim = zip(source.shape[2:], weight.shape[2:], *(_sizes(call, name, dims) for name in names))
    if call.attributes["transposed"]:
        return tuple((n - 1) * stride - 2 * pad + dilation * (k - 1) + extra + 1 for n, k, stride, pad, dilation, extra in per_dim)
    return tuple((n + 2 * pad - dilation * (k - 1) - 1) // stride + 1 for n, k, stride, pad, dilation, _ in per_dim)


def _sizes(call: OperatorCall, name: str, dims: int) -> tuple[int, ...]:
    value = call.attributes[name]
    assert isinstance(value, tuple)
    return value if len(value) == dims else value * dims
