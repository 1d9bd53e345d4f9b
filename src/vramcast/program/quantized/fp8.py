"""Layers in fp8: weights and inputs are rounded to a byte, and multiplied as such.

torchao 0.18: `quantization/quantize_/workflows/float8/float8_tensor.py`, `quantization/quant_primitives.py` (`_choose_scale_float8`,
`_quantize_affine_float8`), with the defaults of `Float8DynamicActivationFloat8WeightConfig`, not compiled.
"""

from __future__ import annotations

import torch

from vramcast.program.quantized.packed_layer import PackedLayer


class Fp8Layer(PackedLayer):
    """A linear layer whose weight is a `Float8Tensor`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        scale = (x.abs().amax() / 448.0).to(torch.float32)
        scaled = x.to(torch.float32) / scale
        rounded = scaled.clamp(min=-448.0, max=448.0).to(torch.float8_e4m3fn)
        del scaled
        output = self.output(x, x.dtype)
        del rounded
        return output if self.bias is None else output + self.bias
