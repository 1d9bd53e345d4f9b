"""Layers and embeddings that keep a GGUF file's blocks, and unpack them when they are called.

diffusers at 0a95a325, `quantizers/gguf/utils.py` (`_fused_mul_mat_gguf`, with `DIFFUSERS_GGUF_CUDA_KERNELS`): the weight is unpacked for each
call, by a kernel that makes nothing else. llama.cpp itself computes on the blocks, keeps token embeddings in the computer's memory and plans
its own buffers.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from vramcast.program.quantized.packed_layer import PackedLayer


class GgufLayer(PackedLayer):
    """A matrix of blocks."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Multiply `x`, vectors of `in_features`."""
        return functional.linear(x, self.unpacked(x.dtype), self.bias)


class GgufEmbedding(PackedLayer):
    """A table of blocks, of which the rows asked for are unpacked, to the type that the module computes in."""

    dtype = torch.float32

    def forward(self, indices: torch.Tensor) -> torch.Tensor:
        """Return one row of `in_features` for each index."""
        return self._anything((*indices.shape, self.in_features), self.dtype)
