"""bitsandbytes' 4-bit layers: unpacked whole for each product of many vectors, in the forward and again in the backward pass.

bitsandbytes 0.50.2: `autograd/_functions.py` (`matmul_4bit`, `MatMul4Bit`), `backends/cuda/ops.py` (`gemm_4bit`, `_dequant_linear_fallback`).
Up to 4 vectors are multiplied with the packed weight, more than 1,536 never; between, the choice depends on card and shape, and the layer is
taken to be unpacked.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional

from vramcast.program.quantized.packed_layer import PackedLayer

FEW = 4
"""`_GEMM_4BIT_CUSTOM_FLOOR_M`: so many vectors are multiplied without unpacking on every card."""
NEVER_DIRECT = 1536
"""`_gemm_4bit_custom_max_m`."""


class FourBitLayer(PackedLayer):
    """`Linear4bit`: computes in a type of its own, and returns the input's (0.50.2, `nn/modules.py`, `Linear4bit.forward`)."""

    keeps_input = False
    """As before 0.43.2."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        dtype = x.dtype
        x = x.to(self.compute_dtype)
        output = _multiplied(x, self) if torch.is_grad_enabled() and x.requires_grad else self.product(x)
        return output.to(dtype)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Make what the kernels make; the packed weight alone serves a few vectors."""
        if self.rows(x) <= FEW:
            return self.output(x, x.dtype)
        return functional.linear(x, self.weight(x.dtype), self.bias)

    def weight(self, dtype: torch.dtype) -> torch.Tensor:
        """Unpack, maxima that are packed themselves first."""
        if self._packs_maxima:
            blocks = math.ceil(self.out_features * self.in_features / self._block)
            maxima = self._anything((blocks,), torch.float32)
            maxima = maxima + self.get_parameter("packed_offset")
        return self.unpacked(dtype)

    @property
    def _packs_maxima(self) -> bool:
        return hasattr(self, "packed_nested_absmax")

    @property
    def _block(self) -> int:
        return math.ceil(self.out_features * self.in_features / self.get_parameter("packed_absmax").numel())


class _Product(torch.autograd.Function):
    """Keeps nothing but the layer, up to 0.43.1 also the input: the gradient of the input takes the weight, which is unpacked once more."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: FourBitLayer) -> torch.Tensor:
        ctx.layer, ctx.kept = layer, x if layer.keeps_input else None
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        return torch.matmul(gradient, ctx.layer.weight(gradient.dtype)), None


def _multiplied(x: torch.Tensor, layer: FourBitLayer) -> torch.Tensor:
    apply: Any = _Product.apply
    product: torch.Tensor = apply(x, layer)
    return product
