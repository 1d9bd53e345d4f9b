"""AWQ's layers: few vectors are multiplied in eight parts that are summed, many with the unpacked weight.

AutoAWQ at 88e4c76b, `modules/linear/gemm.py` (`WQLinearMMFunction`, `WQLinear_GEMM`); AutoAWQ_kernels, `gemm_cuda_gen.cu`
(`gemm_forward_cuda`: parts x vectors x outputs in fp16, then their sum).
"""

from __future__ import annotations

from typing import Any

import torch

from vramcast.program.quantized.packed_layer import PackedLayer

MANY = 1024
"""Vectors from which the weight is unpacked (`FP16_MATMUL_HEURISTIC_CONDITION`)."""
PARTS = 8
"""`split_k_iters`."""


class AwqLayer(PackedLayer):
    """`WQLinear_GEMM`: computes in fp16, and returns the input's type."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        half = x.to(torch.float16)
        if torch.is_grad_enabled() and x.requires_grad:
            output = _multiplied(half, self)
        else:
            output = self.product(half)
        return output.to(x.dtype)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        """Make what the kernels make."""
        rows = self.rows(x)
        if rows >= MANY:
            output = torch.matmul(x, self.unpacked(torch.float16).t())
        else:
            output = self._anything((PARTS, rows, self.out_features), torch.float16).sum(0).view(*x.shape[:-1], self.out_features)
        return output if self.bias is None else output + self.bias


class _Product(torch.autograd.Function):
    """Keeps the input; the backward pass unpacks the weight, and repeats it for each sample of the batch."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: AwqLayer) -> torch.Tensor:
        ctx.layer = layer
        ctx.save_for_backward(x)
        return layer.product(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        weight = ctx.layer.unpacked(gradient.dtype)
        if gradient.dim() != 3:
            return torch.matmul(gradient, weight), None
        return gradient.bmm(weight.unsqueeze(0).repeat(gradient.shape[0], 1, 1)), None


def _multiplied(x: torch.Tensor, layer: AwqLayer) -> torch.Tensor:
    apply: Any = _Product.apply
    product: torch.Tensor = apply(x, layer)
    return product
