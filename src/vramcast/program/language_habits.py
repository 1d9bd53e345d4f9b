"""What libraries of language models do in several ways: brought about on a freshly built module, without code of other versions.

Read in transformers 4.35.2, `models/llama/modeling_llama.py` (`LlamaRotaryEmbedding`, `LlamaForCausalLM.forward`), beside 5.23, where
cosines and sines are computed in each call and logits stay in the module's type.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vramcast.errors import WorkloadError
from vramcast.workload import Workload


def apply_language_habits(module: nn.Module, workload: Workload) -> None:
    """Set the attention implementation, and give the module what its library's older versions have.

    Raises:
        WorkloadError: the module is of another kind, or has no such attention.
    """
    if workload.attention != "auto":
        _set_attention(module, workload)
    if workload.habits.rotary == "tables":
        _keep_rotary_tables(module)
    if workload.habits.logits == "fp32":
        _convert_logits(module)


def _set_attention(module: nn.Module, workload: Workload) -> None:
    choose: Any = getattr(module, "set_attn_implementation", None)
    if choose is None:
        raise WorkloadError(f"attention {workload.attention!r} is a choice of transformers models; leave it out for any other.")
    try:
        choose(workload.attention)
    except ValueError as error:
        raise WorkloadError(f"this model has no attention {workload.attention!r}: {' '.join(str(error).split())}") from error


def _keep_rotary_tables(module: nn.Module) -> None:
    """Give each attention layer `cos_cached` and `sin_cached`, positions x head size, in the module's type."""
    config: Any = getattr(module, "config", None)
    layers: list[Any] = [layer for layer in module.modules() if hasattr(layer, "layer_idx") and hasattr(layer, "head_dim")]
    positions = getattr(config, "max_position_embeddings", None)
    if not layers or positions is None or getattr(config, "rope_parameters", None) is None:
        raise WorkloadError("habit rotary 'tables' is for models with rotary position embeddings, such as Llama; leave it out for any other.")
    weight = next(module.parameters())
    for layer in layers:
        for name in ("cos_cached", "sin_cached"):
            table = torch.empty(positions, layer.head_dim, dtype=weight.dtype, device=weight.device)
            layer.register_buffer(name, table, persistent=False)


def _convert_logits(module: nn.Module) -> None:
    """Convert what comes out of the head; its own output goes as soon as the copy is made."""
    find: Any = getattr(module, "get_output_embeddings", None)
    head = find() if find is not None else None
    if not isinstance(head, nn.Module):
        raise WorkloadError("habit logits 'fp32' is for language models with a head; leave it out for any other.")
    head.register_forward_hook(lambda _module, _args, logits: logits.float())
