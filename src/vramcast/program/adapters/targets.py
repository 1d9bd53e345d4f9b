"""Which layers get an adapter.

peft 0.21.2: `utils/constants.py` (`TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING`), `tuners/tuners_utils.py` (`check_target_module_exists`,
`_maybe_include_all_linear_layers`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from vramcast.errors import WorkloadError
from vramcast.lora_options import ALL_LINEAR, Lora
from vramcast.program.quantized.gguf import GgufEmbedding
from vramcast.program.quantized.packed_layer import PackedLayer

_DEFAULTS = {
    **dict.fromkeys(("t5", "mt5"), ("q", "v")),
    **dict.fromkeys(
        ("bart", "opt", "gptj", "gpt_neo", "llama", "llama4", "mistral", "mixtral", "stablelm", "gemma", "gemma2", "gemma3_text", "qwen2", "qwen3"),
        ("q_proj", "v_proj"),
    ),
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "electra", "layoutlm"), ("query", "value")),
    **dict.fromkeys(("bloom", "gpt_neox", "falcon"), ("query_key_value",)),
    **dict.fromkeys(("gpt2", "gpt_bigcode"), ("c_attn",)),
    "blip-2": ("q", "v", "q_proj", "v_proj"), "deberta-v2": ("query_proj", "value_proj"), "deberta": ("in_proj",), "mpt": ("Wqkv",),
    "codegen": ("qkv_proj",), "phi": ("q_proj", "v_proj", "fc1", "fc2"), "gemma4": ("*language_model.*.q_proj", "*language_model.*.v_proj"),
    "nemotron_h": ("q_proj", "k_proj", "v_proj", "o_proj"), "rwkv": ("key", "value", "receptance", "output"),
}  # fmt: skip
"""By `model_type`, of those that transformers 5.23 has."""
_MOST_NAMED = 12
"""Layers that a message lists."""


def targets(module: nn.Module, lora: Lora) -> dict[str, nn.Module]:
    """Return the linear layers that get an adapter, by name, in the module's order.

    Raises:
        WorkloadError: a name matches no layer, or one of another kind, or peft has no choice of its own; the message names the linear layers.
    """
    linear = {name: layer for name, layer in module.named_modules() if name and is_linear(layer)}
    if lora.target == (ALL_LINEAR,):
        head = _output_layer(module)
        chosen = {name: layer for name, layer in linear.items() if layer is not head}
        if not chosen:
            raise WorkloadError(f"lora.target {ALL_LINEAR!r}: {type(module).__name__} has no linear layer.")
        return chosen
    wanted = lora.target or _default(module, linear)
    names = {name for target in wanted for name in _matching(module, target, linear)}
    return {name: layer for name, layer in linear.items() if name in names}


def named(module: nn.Module, names: Sequence[str], field: str) -> dict[str, nn.Module]:
    """Return the modules of these names, or with these last parts of a name.

    Raises:
        WorkloadError: there is none.
    """
    found: dict[str, nn.Module] = {}
    for wanted in names:
        matching = {name: part for name, part in module.named_modules() if _is_named(name, wanted)}
        if not matching:
            children = ", ".join(name for name, _ in module.named_children())
            raise WorkloadError(f"{field} {wanted!r} names no module of {type(module).__name__}, which has {children}.")
        found |= matching
    return found


def is_linear(layer: nn.Module) -> bool:
    """Whether peft attaches its linear adapters to a layer; the projection inside `nn.MultiheadAttention` is never called itself."""
    if isinstance(layer, PackedLayer):
        return not isinstance(layer, GgufEmbedding)
    weight: Any = getattr(layer, "weight", None)
    is_plain = isinstance(layer, nn.Linear) and not isinstance(layer, nn.modules.linear.NonDynamicallyQuantizableLinear)
    return is_plain or (type(layer).__name__ == "Conv1D" and weight is not None and weight.dim() == 2)


def _matching(module: nn.Module, target: str, linear: dict[str, nn.Module]) -> Iterator[str]:
    names = [name for name, _ in module.named_modules() if name and _is_named(name, target)]
    if not names:
        raise WorkloadError(f"lora.target {target!r} matches no layer of {type(module).__name__}. Its linear layers are {_listed(linear)}.")
    for name in names:
        if name not in linear:
            kind = type(module.get_submodule(name)).__name__
            raise WorkloadError(
                f"lora.target {target!r} matches {name}, a {kind}; adapters of linear layers are forecast. "
                f"Those of {type(module).__name__} are {_listed(linear)}."
            )
        yield name


def _is_named(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}") or fnmatch.fnmatchcase(name, target)


def _default(module: nn.Module, linear: dict[str, nn.Module]) -> tuple[str, ...]:
    kind = getattr(getattr(module, "config", None), "model_type", None)
    found = tuple(target for target in _DEFAULTS.get(str(kind), ()) if any(_is_named(name, target) for name in linear))
    if not found:
        whose = f"model type {kind!r}" if kind else type(module).__name__
        raise WorkloadError(
            f"lora has no target, and peft no choice of its own for {whose}. "
            f"Name layers with lora.target (--lora-target): {ALL_LINEAR}, or some of {_listed(linear)}."
        )
    return found


def _listed(linear: dict[str, nn.Module]) -> str:
    """Return the layers' own names, each once; numbered ones (`0` in a `Sequential`) with the module they lie in."""
    lasts = [name.split(".") for name in linear]
    names = list(dict.fromkeys(parts[-1] if not parts[-1].isdigit() else ".".join(parts[-2:]) for parts in lasts))
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (", ".join(names[:_MOST_NAMED]) or "none") + more


def _output_layer(module: nn.Module) -> nn.Module | None:
    find: Any = getattr(module, "get_output_embeddings", None)
    head = find() if find is not None else None
    return head if isinstance(head, nn.Module) else None
