"""GPTQ's layers on ExLlama's kernels: packed weights are multiplied as they are, or unpacked into one buffer that all layers share.

AutoGPTQ at 9f7d3707: `nn_modules/qlinear/qlinear_exllamav2.py`, `qlinear_exllama.py`, `modeling/_utils.py` (`autogptq_post_init`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vramcast.program.quantized.packed_layer import PackedLayer

MAX_INPUT, MAX_BATCH = 2048, 8
"""Tokens and samples that the second version's buffer is made for (`scratch_space_fixed`)."""


class GptqLayer(PackedLayer):
    """`QuantLinear`: the kernels take fp16 and make nothing but the output."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        output = self.output(x, torch.float16)
        if self.bias is not None:
            output.add_(self.bias)
        return output


def shared_buffers(layers: Sequence[PackedLayer], is_second_version: bool) -> dict[str, torch.Tensor]:
    """Return what serves all layers of a model, by name."""
    device = layers[0].get_parameter("packed_qweight").device
    largest = max(layer.in_features * layer.out_features for layer in layers)
    if not is_second_version:
        return {
            "temp_state": torch.zeros((1, 1), dtype=torch.float16, device=device),
            "temp_dq": torch.zeros((1, largest), dtype=torch.float16, device=device),
        }
    scratch = max(_unpacked_bytes(layer) + _forward_bytes(layer) for layer in layers)
    return {"scratch": torch.empty((scratch // 2,), dtype=torch.float16, device=device)}


def _unpacked_bytes(layer: PackedLayer) -> int:
    return layer.in_features * layer.out_features * 2 + 128


def _forward_bytes(layer: PackedLayer) -> int:
    return layer.out_features * MAX_INPUT * MAX_BATCH * 4 + 128
