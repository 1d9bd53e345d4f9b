"""Directions and magnitudes apart: the weight is put together for each call, to divide by the norms of its rows.

peft 0.21.2, `tuners/lora/dora.py` (`DoraLinearLayer`), `utils/integrations.py` (`dequantize_module_weight`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

from vramcast.program.quantized.bitsandbytes_4bit import FourBitLayer


class Magnitude(nn.Module):
    """`lora_magnitude_vector`: one number for each output."""

    def __init__(self, outputs: int, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(outputs, dtype=dtype, device=device))

    def forward(
        self, x: torch.Tensor, lora_a: nn.Linear, lora_b: nn.Linear, scaling: float, base: nn.Module, base_result: torch.Tensor | None
    ) -> torch.Tensor:
        """Return what is added to the base's output.

        `x`: ... x inputs; `base_result`: ... x outputs, the base's output, None where it has to be computed from `x`.
        """
        eye = torch.eye(lora_a.weight.shape[1], device=lora_a.weight.device, dtype=lora_a.weight.dtype)
        lora_weight = lora_b(lora_a(eye)).T
        lora_weight = lora_weight.to(x.dtype)
        weight = _unpacked(base)
        weight = weight.to(x.dtype)
        norm = _row_norms(_upright(weight, base), lora_weight.detach(), scaling)
        norm = norm.detach()
        scale = (self.weight / norm).view(1, -1)
        lora_result: torch.Tensor = lora_b(lora_a(x))
        bias: Any = base.bias
        if base_result is None:
            base_result = functional.linear(x, _upright(weight, base))
        elif bias is not None:
            base_result = base_result - bias
        return (scale - 1) * base_result + scale * lora_result * scaling


def _row_norms(weight: torch.Tensor, lora_weight: torch.Tensor, scaling: float) -> torch.Tensor:
    weight = weight + scaling * lora_weight
    norms: torch.Tensor = torch.linalg.norm(weight, dim=1)
    return norms.to(weight.dtype)


def _upright(weight: torch.Tensor, base: nn.Module) -> torch.Tensor:
    """Return a weight as outputs x inputs; that of transformers' `Conv1D`, turned, is a parameter of its own (`utils/other.py`, `transpose`)."""
    if type(base).__name__ != "Conv1D":
        return weight
    return nn.Parameter(weight.T) if isinstance(weight, nn.Parameter) else weight.T


def _unpacked(base: Any) -> torch.Tensor:
    weight: torch.Tensor = base.weight(base.compute_dtype) if isinstance(base, FourBitLayer) else base.weight
    return weight
