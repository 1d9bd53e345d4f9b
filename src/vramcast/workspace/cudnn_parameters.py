"""The parameters of the convolution rule, as values: read from `cudnn.toml`, where their meaning and origin stand."""

from __future__ import annotations

import functools
from importlib import resources
from typing import Literal

import msgspec


class Copies(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Channels-last copies of channels-first tensors, made by tensor-core engines: shares of input and output by direction."""

    forward: float
    input_gradient: float
    weight_gradient: float


class Shapes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the shape of a convolution changes about the copies."""

    pointwise: float
    narrow_group: int
    channel_bytes: int


class PartialSums(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Partial sums of gradients of weights."""

    split_k: float


class Winograd(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Winograd transforms of fp32 engines without tensor cores."""

    fused_output_tile: int
    nonfused_output_tile: int


class Fft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """FFT engines, tried in benchmark mode."""

    tile: int
    largest_image: int


class Gemm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Explicit matrix products, tried in benchmark mode."""

    images: int


class Residual(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the fit left over: absolute relative errors of forecasts of reserved or device memory."""

    case_set: str
    precision: str
    half: Literal["fitted", "held back"]
    cases: int
    median: float
    p90: float


class ConvolutionParameters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them; `msgspec.structs.replace` makes variations."""

    tf32: Copies
    half_turing: Copies
    half_ampere: Copies
    shapes: Shapes
    partial_sums: PartialSums
    winograd: Winograd
    fft: Fft
    gemm: Gemm
    residuals: tuple[Residual, ...] = ()


@functools.cache
def default_parameters() -> ConvolutionParameters:
    """Return the parameters that come with vramcast."""
    return msgspec.toml.decode(resources.files(__package__).joinpath("cudnn.toml").read_bytes(), type=ConvolutionParameters)
