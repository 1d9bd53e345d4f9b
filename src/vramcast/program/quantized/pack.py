"""Which layers are packed, and what takes their place.

Output layers stay as they are, as do embeddings and what a model wants in fp32 (the second layers of T5's MLPs): transformers 5.23,
`quantizers/base.py` (`get_modules_to_not_convert`); AutoGPTQ and AutoAWQ pack what lies inside the repeated blocks. A GGUF file packs both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from vramcast.errors import WorkloadError
from vramcast.program.precision import compute_dtype, module_dtype
from vramcast.program.quantized.awq import AwqLayer
from vramcast.program.quantized.bitsandbytes_4bit import FEW, NEVER_DIRECT, FourBitLayer
from vramcast.program.quantized.bitsandbytes_8bit import OUTLIER_SHARE, EightBitLayer
from vramcast.program.quantized.fp8 import Fp8Layer
from vramcast.program.quantized.gguf_mixture import pack_as_stored, pack_gguf
from vramcast.program.quantized.gptq import GptqLayer, shared_buffers
from vramcast.program.quantized.packed_layer import PackedLayer
from vramcast.sources.interface import Model
from vramcast.weight_formats import GGUF, WeightFormat
from vramcast.workload import Workload

_LAYERS: Mapping[str, type[PackedLayer]] = {
    "int8": EightBitLayer, "int4-nf4": FourBitLayer, "int4-nf4-double": FourBitLayer,
    "int4-gptq": GptqLayer, "int4-gptq-exllama": GptqLayer, "int4-awq": AwqLayer, "fp8": Fp8Layer,
}  # fmt: skip
_IN_HALF = ("int4-gptq", "int4-gptq-exllama")
"""Kernels that take and return fp16 alone."""
_CAVEATS = {
    "int8": f"{OUTLIER_SHARE:.1%} of the input columns were taken to hold outliers; how many do, only weights and inputs can tell.",
    "int4-nf4": f"Between {FEW + 1} and {NEVER_DIRECT} vectors, layers were taken to be unpacked for each product; on some cards they are not.",
    GGUF: "Blocks are unpacked layer by layer in torch, as diffusers does; llama.cpp plans buffers of its own and keeps token embeddings "
    "in the computer's memory.",
}  # fmt: skip
_CAVEATS["int4-nf4-double"] = _CAVEATS["int4-nf4"]


def pack_weights(module: nn.Module, workload: Workload, model: Model) -> tuple[str, ...]:
    """Put packed layers in the place of linear ones, as the workload's `weights` says, or else the model's own, and return what was assumed.

    Raises:
        WorkloadError: the workload asks for other weights than the model's file has, the module has no layer that can be packed, the kernels do not
            take the workload's precision, or they have no backward pass.
    """
    given = workload.weights or model.weights
    if model.packed:
        return _as_stored(module, workload, model)
    if given is None:
        return ()
    form = WeightFormat.parse(given)
    _check(form, workload)
    if form.name == GGUF:
        pack_gguf(module, form.mixture, module_dtype(workload.precision))
        return (_CAVEATS[GGUF],)
    packed = [layer for name, linear in _linear_layers(module).items() if (layer := _packed(module, name, linear, form, workload)) is not None]
    if not packed:
        raise WorkloadError(
            f"weights {workload.weights!r} packs linear layers; {type(module).__name__} has none beside its output layer that can be."
        )
    if form.name in _IN_HALF:
        for name, buffer in shared_buffers(packed, form.name == "int4-gptq").items():
            module.register_buffer(f"exllama_{name}", buffer, persistent=False)
    return (_CAVEATS[form.name],) if form.name in _CAVEATS else ()


def _as_stored(module: nn.Module, workload: Workload, model: Model) -> tuple[str, ...]:
    if workload.weights is not None:
        raise WorkloadError(
            f"weights {workload.weights!r} and {model.source}:{model.name} exclude each other: the file says how its weights are packed."
        )
    if workload.is_training:
        raise WorkloadError(f"mode 'train' and {model.source}:{model.name} exclude each other: packed blocks have no backward pass.")
    pack_as_stored(module, model.packed, module_dtype(workload.precision))
    return (_CAVEATS[GGUF],)


def _check(form: WeightFormat, workload: Workload) -> None:
    if form.name in _IN_HALF and workload.precision != "fp16":
        raise WorkloadError(f"weights {form.name!r} and precision {workload.precision!r} exclude each other: its kernels take fp16; use 'fp16'.")
    if workload.is_training and not form.can_train:
        raise WorkloadError(f"weights {form.name!r} and mode 'train' exclude each other: its kernels have no backward pass. Take int4-nf4 or int8.")


def _packed(module: nn.Module, name: str, linear: nn.Module, form: WeightFormat, workload: Workload) -> PackedLayer | None:
    weight: Any = linear.weight
    outputs, inputs = weight.shape if isinstance(linear, nn.Linear) else reversed(weight.shape)
    if not form.takes(outputs, inputs):
        return None
    bias: Any = linear.bias
    if bias is None and form.name in _IN_HALF and workload.habits.packed_bias == "always":
        bias = nn.Parameter(weight.new_zeros(outputs), requires_grad=False)
    layer = _LAYERS[form.name](outputs, inputs, bias, form.packed(outputs, inputs), weight)
    layer.compute_dtype = compute_dtype(workload.precision)
    if isinstance(layer, FourBitLayer):
        layer.keeps_input = workload.habits.packed_input == "kept"
    module.set_submodule(name, layer)
    return layer


def _linear_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return linear layers by name, those left out that stay as they are; transformers' `Conv1D` (GPT-2) is one, with its weight transposed."""
    found = {name: layer for name, layer in module.named_modules() if name and _is_linear(layer)}
    head, kept = _output_layer(module, found), tuple(getattr(module, "_keep_in_fp32_modules", None) or ())
    return {name: layer for name, layer in found.items() if layer is not head and not any(f".{part}." in f".{name}." for part in kept)}


def _is_linear(layer: nn.Module) -> bool:
    weight: Any = getattr(layer, "weight", None)
    return type(layer) is nn.Linear or (type(layer).__name__ == "Conv1D" and weight is not None and weight.dim() == 2)


def _output_layer(module: nn.Module, linear: Mapping[str, nn.Module]) -> nn.Module | None:
    """What the library says is the output layer; of any other module, the last linear one."""
    find: Any = getattr(module, "get_output_embeddings", None)
    head = find() if find is not None else None
    if isinstance(head, nn.Module):
        return head
    return next(reversed(list(linear.values())), None)
