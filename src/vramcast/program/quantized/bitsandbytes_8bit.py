"""bitsandbytes' 8-bit layers: inputs are rounded to bytes, products are summed in int32, columns with outliers are multiplied apart.

bitsandbytes 0.50.2: `autograd/_functions.py` (`MatMul8bitLt`), `backends/cuda/ops.py` (`int8_vectorwise_quant`, `int8_linear_matmul`,
`int8_mm_dequant`), `backends/default/ops.py` (`int8_mixed_scaled_mm`). The threshold is that of transformers, 6.0; how many columns pass it,
only weights and inputs could tell.
"""

from __future__ import annotations

from typing import Any

import torch

from vramcast.program.quantized.packed_layer import PackedLayer

OUTLIER_SHARE = 0.001
"""Columns of the input taken to hold outliers: "about 0.1 % of all input features" (Dettmers et al., LLM.int8(), arXiv 2208.07339, section 4)."""


class EightBitLayer(PackedLayer):
    """`Linear8bitLt`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        if torch.is_grad_enabled() and x.requires_grad:
            return _multiplied(x, self)
        return self.product(x)[0]

    def product(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the product, and the columns of the input that hold outliers."""
        rows = self.rows(x)
        flat = x.reshape(rows, self.in_features)
        quantised, scales = self._rounded(flat.to(torch.float16))
        columns = max(1, round(self.in_features * OUTLIER_SHARE))
        outliers = self._anything((rows, columns), x.dtype)
        weight = self._anything((self.out_features, columns), torch.float32).to(x.dtype).t()
        sums = self._anything((rows, self.out_features), torch.int32)
        output = torch.empty_like(sums, dtype=torch.float16)
        del sums
        output = output.to(x.dtype)
        if self.bias is not None:
            output.add_(self.bias)
        output = output.addmm(outliers, weight)
        del quantised, scales
        return output.reshape(*x.shape[:-1], self.out_features), outliers

    def _rounded(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scales = self._anything((x.shape[0],), torch.float32)
        rounded = self._anything(tuple(x.shape), torch.int8)
        is_outlier = x.abs() >= 1
        is_outlier.any(dim=0)
        return rounded, scales


class _Product(torch.autograd.Function):
    """Keeps the input; the gradient of it takes the whole weight, unpacked to the input's type."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: EightBitLayer) -> torch.Tensor:
        output, outliers = layer.product(x)
        ctx.layer, ctx.kept = layer, (outliers, x)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,), layer = gradients, ctx.layer
        weight = layer.unpacked(gradient.dtype)
        weight.mul_(layer.get_parameter("packed_SCB").unsqueeze(1).mul(1.0 / 127.0))
        return torch.matmul(gradient, weight), None


def _multiplied(x: torch.Tensor, layer: EightBitLayer) -> torch.Tensor:
    apply: Any = _Product.apply
    product: torch.Tensor = apply(x, layer)
    return product
