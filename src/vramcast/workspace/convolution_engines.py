"""How much workspace each family of cuDNN's convolution engines takes.

Families that torch runs by heuristics (benchmark off):

- tensor-core engines, channels-last inside: copies of channels-first tensors, partial sums of gradients of weights;
- fp32 engines without tensor cores: Winograd for 3x3 kernels of stride 1, otherwise none;
- fp16 engines without tensor cores (before Volta): tiled FFT forward and for the gradient of the input where strides allow it, otherwise
  and for the gradient of weights what tensor-core engines copy.

Families that benchmark mode tries besides: non-fused Winograd in every direction, FFT, tiled FFT, explicit matrix products.
"""

from __future__ import annotations

import math

from vramcast.workspace.convolution_shape import Convolution, Direction
from vramcast.workspace.cudnn_parameters import ConvolutionParameters, Copies
from vramcast.workspace.stack import Stack

FP32 = 4
COMPLEX = 8


def has_tensor_cores(convolution: Convolution, stack: Stack) -> bool:
    """Tell whether tensor cores serve the type: fp16 from compute capability 7.0, bf16 and (if allowed) TF32 from 8.0."""
    if convolution.dtype == "float32":
        return stack.allow_tf32 and stack.compute_capability >= (8, 0)
    return convolution.dtype in ("float16", "bfloat16") and stack.compute_capability >= ((7, 0) if convolution.dtype == "float16" else (8, 0))


def tensor_core_bytes(convolution: Convolution, direction: Direction, stack: Stack, parameters: ConvolutionParameters) -> int:
    """Return the workspace of an implicit matrix product on tensor cores."""
    shapes = parameters.shapes
    if convolution.groups > 1 and convolution.in_channels // convolution.groups <= shapes.narrow_group:
        return 0
    size = 0.0
    if not convolution.is_channels_last:
        activations = convolution.image_bytes(shapes.channel_bytes) + convolution.output_bytes(shapes.channel_bytes)
        size = _share(_copies(convolution, stack, parameters), direction) * activations
    if convolution.is_pointwise:
        size *= shapes.pointwise
    if direction is Direction.WEIGHT_GRADIENT:
        size += parameters.partial_sums.split_k * convolution.weight_elements * FP32
    return int(size)


def _copies(convolution: Convolution, stack: Stack, parameters: ConvolutionParameters) -> Copies:
    if convolution.dtype == "float32":
        return parameters.tf32
    return parameters.half_ampere if stack.compute_capability >= (8, 0) else parameters.half_turing


def _share(copies: Copies, direction: Direction) -> float:
    return {
        Direction.FORWARD: copies.forward,
        Direction.INPUT_GRADIENT: copies.input_gradient,
        Direction.WEIGHT_GRADIENT: copies.weight_gradient,
    }[direction]


def fp32_bytes(convolution: Convolution, direction: Direction, parameters: ConvolutionParameters) -> int:
    """Return the workspace of the engine taken for fp32 without tensor cores."""
    if not takes_winograd(convolution):
        return 0
    if direction is Direction.WEIGHT_GRADIENT:
        return nonfused_winograd_bytes(convolution, parameters)
    transformed = (parameters.winograd.fused_output_tile + 2) ** 2
    return transformed * convolution.in_channels * convolution.out_channels * FP32


def fp16_bytes(convolution: Convolution, direction: Direction, stack: Stack, parameters: ConvolutionParameters) -> int:
    """Return the workspace of the engine taken for fp16 without tensor cores."""
    if takes_fft(convolution, parameters) and direction is not Direction.WEIGHT_GRADIENT:
        return tiled_fft_bytes(convolution, parameters.fft.tile)
    return tensor_core_bytes(convolution, direction, stack, parameters)


def takes_fft(convolution: Convolution, parameters: ConvolutionParameters) -> bool:
    """Tell whether tiled FFT supports a convolution: two-dimensional, unit stride, a kernel of more than one pixel that fits in a tile."""
    is_planar = len(convolution.image) == 2 and not convolution.is_channels_last
    return is_planar and convolution.is_unit_stride and not convolution.is_pointwise and max(convolution.kernel) < parameters.fft.tile


def takes_winograd(convolution: Convolution) -> bool:
    """Tell whether a convolution is one of 3x3 kernels at stride 1 without groups."""
    return convolution.kernel == (3, 3) and convolution.is_unit_stride


def nonfused_winograd_bytes(convolution: Convolution, parameters: ConvolutionParameters) -> int:
    """Return the bytes of transformed input, output and weights, in fp32."""
    tile = parameters.winograd.nonfused_output_tile
    tiles = convolution.batch * math.prod(-(-size // tile) for size in convolution.output)
    channels = convolution.in_channels + convolution.out_channels
    return (tile + 2) ** 2 * (tiles * channels + convolution.in_channels * convolution.out_channels) * FP32


def fft_bytes(convolution: Convolution) -> int:
    """Return the bytes of the spectra of whole images, outputs and weights."""
    padded = [size + extent - 1 for size, extent in zip(convolution.image, convolution.kernel)]
    return _spectra(convolution, padded, tiles=1)


def tiled_fft_bytes(convolution: Convolution, side: int) -> int:
    """Return the bytes of the spectra of tiles with `side` pixels each way."""
    tiles = math.prod(-(-size // (side - extent + 1)) for size, extent in zip(convolution.output, convolution.kernel))
    return _spectra(convolution, [side] * len(convolution.image), tiles)


def _spectra(convolution: Convolution, sides: list[int], tiles: int) -> int:
    frequencies = math.prod(sides[:-1]) * (sides[-1] // 2 + 1)
    planes = convolution.batch * tiles * (convolution.in_channels + convolution.out_channels)
    return (planes + convolution.in_channels * convolution.out_channels) * frequencies * COMPLEX


def unfolded_bytes(convolution: Convolution, images: int) -> int:
    """Return the bytes of the unfolded input (`im2col`) of some images."""
    columns = math.prod(convolution.output) * math.prod(convolution.kernel)
    return min(images, convolution.batch) * columns * convolution.in_channels * convolution.item_bytes
