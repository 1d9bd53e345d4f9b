"""From a module to one with a frozen base and adapters.

peft 0.21.2: `mapping_func.py` (`get_peft_model`), `tuners/tuners_utils.py` (`cast_adapter_dtype`: adapters in fp32 where the base is in 16 bits).
What `prepare_model_for_kbit_training` (`utils/other.py`) does beside, the workload says: all that is not packed in fp32 under autocast (precision
`amp-bf16`), and checkpointing; that token embeddings give out gradients then is transformers' own doing (5.23, `activation_checkpointing_enable`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.errors import WorkloadError
from vramcast.lora_options import Lora
from vramcast.program.adapters.lora import LoraLayer, SavedModule, layer_kind
from vramcast.program.adapters.targets import named, targets
from vramcast.program.precision import compute_dtype, module_dtype
from vramcast.program.quantized.bitsandbytes_4bit import FourBitLayer
from vramcast.program.quantized.packed_layer import PackedLayer
from vramcast.workload import Workload

_EXPERTS_DIMENSIONS = 3
_EXPERTS = "Experts that lie in one tensor together are no linear layers, and have no adapters: peft's target_parameters is not modelled."


def hold_base(module: nn.Module, workload: Workload) -> torch.dtype:
    """Convert the base to autocast's type, where the workload holds it in that; return the type that it is held in."""
    if workload.lora is None or workload.lora.base == "module":
        return module_dtype(workload.precision)
    dtype = compute_dtype(workload.precision)
    module.to(dtype)
    return dtype


def attach_adapters(module: nn.Module, lora: Lora, dtype: torch.dtype) -> tuple[str, ...]:
    """Freeze a module, put adapters beside the layers that are named, and copies in the place of modules that are trained in full.

    `dtype`: the type the module is held in. Returns what is not modelled, as caveats.

    Raises:
        WorkloadError: a name matches no layer or one of another kind, or a layer has no adapters of this kind.
    """
    module.requires_grad_(False)
    for name, layer in targets(module, lora).items():
        if lora.dora and isinstance(layer, PackedLayer) and not isinstance(layer, FourBitLayer):
            raise WorkloadError(f"lora.dora goes with plain layers and those of int4-nf4; {name} is packed otherwise. Leave dora out.")
        outputs, inputs = _sides(layer)
        made = layer_kind(layer)(layer, outputs, inputs, lora, torch.float32 if lora.dtype == "fp32" else dtype)
        module.set_submodule(name, made.train(module.training))
    for name, part in named(module, lora.save, "lora.save").items():
        module.set_submodule(name, SavedModule(part))
    has_experts = any(parameter.dim() == _EXPERTS_DIMENSIONS and "expert" in name for name, parameter in module.named_parameters())
    return (_EXPERTS,) if has_experts else ()


def adapter_parameters(module: nn.Module) -> int:
    """Return how many parameters adapters and copies added to a module."""
    added: dict[int, int] = {}
    for part in module.modules():
        if isinstance(part, LoraLayer):
            own = [*part.lora_A.parameters(), *part.lora_B.parameters()]
            own += part.lora_magnitude_vector.parameters() if part.lora_magnitude_vector is not None else []
        elif isinstance(part, SavedModule):
            own = list(part.modules_to_save.parameters())
        else:
            continue
        added |= {id(parameter): parameter.numel() for parameter in own}
    return sum(added.values())


def _sides(layer: Any) -> tuple[int, int]:
    """Return outputs and inputs; transformers' `Conv1D` holds its weight the other way round."""
    if type(layer).__name__ == "Conv1D":
        inputs, outputs = layer.weight.shape
        return outputs, inputs
    return layer.out_features, layer.in_features
