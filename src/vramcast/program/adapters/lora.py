"""Layers with an adapter beside them: what peft's own compute, in its order, with the casts it makes.

peft 0.21.2: `tuners/lora/layer.py` (`Linear.forward`), `tuners/lora/bnb.py` (`Linear8bitLt`, `Linear4bit`), `tuners/lora/awq.py`,
`tuners/lora/gptq.py`, `utils/other.py` (`ModulesToSaveWrapper`).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from vramcast.lora_options import Lora
from vramcast.program.adapters.dora import Magnitude
from vramcast.program.quantized.awq import AwqLayer
from vramcast.program.quantized.bitsandbytes_4bit import FourBitLayer
from vramcast.program.quantized.bitsandbytes_8bit import EightBitLayer

SCALING = 2.0
"""`lora_alpha / r`. Whatever it is, the product with it is a tensor of its own."""


class LoraLayer(nn.Module):
    """`lora.Linear`, which also serves kernels of fp16 (`GPTQLoraLinear`): the input is cast to the adapter's type, the sum to the base's."""

    def __init__(self, base: nn.Module, outputs: int, inputs: int, lora: Lora, dtype: torch.dtype) -> None:
        super().__init__()
        device = next(base.parameters()).device
        self.base_layer = base
        self.lora_dropout: nn.Module = nn.Dropout(lora.dropout) if lora.dropout else nn.Identity()
        self.lora_A = nn.Linear(inputs, lora.rank, bias=False, device=device, dtype=dtype)
        self.lora_B = nn.Linear(lora.rank, outputs, bias=False, device=device, dtype=dtype)
        nn.init.zeros_(self.lora_B.weight)
        self.lora_magnitude_vector = Magnitude(outputs, dtype, device) if lora.dora else None

    @property
    def weight(self) -> Any:
        """The base's weight, for code that looks at it (`BaseTunerLayer.weight`)."""
        return self.base_layer.weight

    @property
    def bias(self) -> Any:
        """The base's bias."""
        return self.base_layer.bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the adapter's output to the base's."""
        result: torch.Tensor = self.base_layer(x)
        dtype = result.dtype
        x = x.to(self.lora_A.weight.dtype)
        if self.lora_magnitude_vector is None:
            result = result + self.lora_B(self.lora_A(self.lora_dropout(x))) * SCALING
        else:
            result = self._directed(x, result)
        return result.to(dtype)

    def _directed(self, x: torch.Tensor, result: torch.Tensor) -> torch.Tensor:
        """`DoraLinearVariant.forward`: with dropout, the base's product is computed anew from what is left of the input."""
        assert self.lora_magnitude_vector is not None
        base_result: torch.Tensor | None = result
        if self.training and isinstance(self.lora_dropout, nn.Dropout):
            x, base_result = self.lora_dropout(x), None
        directed: torch.Tensor = self.lora_magnitude_vector(x, self.lora_A, self.lora_B, SCALING, self.base_layer, base_result)
        return result + directed


class PackedLoraLayer(LoraLayer):
    """Beside bitsandbytes' layers: under autocast nothing is cast, and the adapter's output is cast before it is added."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the adapter's output to the base's, of which 4-bit layers make a copy."""
        result: torch.Tensor = self.base_layer(x)
        if isinstance(self.base_layer, FourBitLayer):
            result = result.clone()
        dtype, is_cast = result.dtype, not torch.is_autocast_enabled()
        if is_cast:
            x = x.to(self.lora_A.weight.dtype)
        if self.lora_magnitude_vector is not None:
            result = self._directed(x, result)
            return result.to(dtype) if is_cast else result
        output: torch.Tensor = self.lora_B(self.lora_A(self.lora_dropout(x))) * SCALING
        if is_cast:
            output = output.to(dtype)
        return result + output


class AwqLoraLayer(LoraLayer):
    """`AwqLoraLinear`: as beside bitsandbytes' layers, but cast before it is scaled."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the adapter's output to the base's."""
        result: torch.Tensor = self.base_layer(x)
        dtype, is_cast = result.dtype, not torch.is_autocast_enabled()
        if is_cast:
            x = x.to(self.lora_A.weight.dtype)
        output: torch.Tensor = self.lora_B(self.lora_A(self.lora_dropout(x)))
        if is_cast:
            output = output.to(dtype)
        output = output * SCALING
        return result + output


class SavedModule(nn.Module):
    """`ModulesToSaveWrapper`: the frozen module stays beside the copy that is trained and run."""

    def __init__(self, original: nn.Module) -> None:
        super().__init__()
        self.original_module = original
        self.modules_to_save = copy.deepcopy(original).requires_grad_(True)

    @property
    def weight(self) -> Any:
        """The trained copy's weight, for code that looks at it."""
        return self.modules_to_save.weight

    def forward(self, *args: Any, **keywords: Any) -> Any:
        """Run the copy."""
        return self.modules_to_save(*args, **keywords)


def layer_kind(base: nn.Module) -> type[LoraLayer]:
    """Return which of peft's layers goes with a base layer."""
    if isinstance(base, (FourBitLayer, EightBitLayer)):
        return PackedLoraLayer
    return AwqLoraLayer if isinstance(base, AwqLayer) else LoraLayer
