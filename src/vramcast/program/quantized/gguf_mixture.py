"""A module's matrices in the types that a GGUF file of a mixture gives them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from vramcast.errors import WorkloadError
from vramcast.gguf_types import GgufTensor, gguf_bytes, gguf_type
from vramcast.program.quantized.gguf import GgufEmbedding, GgufLayer
from vramcast.program.quantized.packed_layer import PackedLayer
from vramcast.weight_formats import PackedTensor

_ROLES = {
    "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "qkv_proj": "attn_qkv", "c_attn": "attn_qkv", "query_key_value": "attn_qkv",
    "o_proj": "attn_output", "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down", "lm_head": "output",
    "embed_tokens": "token_embd", "wte": "token_embd",
}  # fmt: skip
"""Names of transformers' layers by llama.cpp's (gguf-py 0.19, `tensor_mapping.py`)."""
_UNPACKED = ("F32", "F16", "BF16")


def pack_gguf(module: nn.Module, mixture: str, dtype: torch.dtype) -> None:
    """Put packed layers in the place of linear layers and token embeddings; rows of the latter are unpacked to `dtype`.

    Raises:
        WorkloadError: the module has no linear layer.
    """
    matrices = list(_matrices(module))
    if not matrices:
        raise WorkloadError(f"weights 'gguf:{mixture}' packs linear layers and embeddings; {type(module).__name__} has none.")
    _put(module, matrices, _kinds(module, matrices, mixture), dtype)


def pack_as_stored(module: nn.Module, kinds: Mapping[str, str], dtype: torch.dtype) -> None:
    """The same, with the types that a file has, by the module's name."""
    _put(module, list(_matrices(module)), kinds, dtype)


def _kinds(module: nn.Module, matrices: Sequence[tuple[str, nn.Module]], mixture: str) -> Mapping[str, str]:
    config: Any = getattr(module, "config", None)
    shared = _heads_per_key(config)
    is_tied = bool(getattr(config, "tie_word_embeddings", False))
    counts, seen = Counter(_role(name) for name, _ in matrices), Counter[str]()
    kinds: dict[str, str] = {}
    for name, layer in matrices:
        role = _role(name)
        kinds[name] = gguf_type(mixture, GgufTensor(role, _shape(layer)[1], seen[role], counts[role], shared, is_tied))
        seen[role] += 1
    return kinds


def _put(module: nn.Module, matrices: Sequence[tuple[str, nn.Module]], kinds: Mapping[str, str], dtype: torch.dtype) -> None:
    packed: dict[int, nn.Parameter] = {}
    for name, layer in matrices:
        kind = kinds.get(name, _UNPACKED[0])
        if kind in _UNPACKED:
            continue
        rows, columns = _shape(layer)
        made = _made(layer, rows, columns, PackedTensor("blocks", (rows, gguf_bytes(kind, rows, columns) // rows), "uint8"))
        made.dtype = dtype
        made.packed_blocks = packed.setdefault(id(_weight(layer)), made.packed_blocks)  # tied: one table serves both
        module.set_submodule(name, made)


def _shape(layer: nn.Module) -> tuple[int, int]:
    """Return the rows and columns of a matrix as GGUF files store it."""
    first, second = _weight(layer).shape
    return (second, first) if _is_transposed(layer) else (first, second)


def _made(layer: nn.Module, rows: int, columns: int, blocks: PackedTensor) -> Any:
    kind: type[PackedLayer] = GgufEmbedding if isinstance(layer, nn.Embedding) else GgufLayer
    return kind(rows, columns, getattr(layer, "bias", None), (blocks,), _weight(layer))


def _matrices(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in module.named_modules():
        if name and (type(layer) is nn.Linear or _is_transposed(layer) or (type(layer) is nn.Embedding and _role(name) == "token_embd")):
            yield name, layer


def _is_transposed(layer: nn.Module) -> bool:
    return type(layer).__name__ == "Conv1D" and _weight(layer).dim() == 2


def _weight(layer: nn.Module) -> Any:
    return layer.weight


def _role(name: str) -> str:
    return _ROLES.get(name.rpartition(".")[2], "other")


def _heads_per_key(config: Any) -> int:
    heads, keys = getattr(config, "num_attention_heads", None), getattr(config, "num_key_value_heads", None)
    return heads // keys if isinstance(heads, int) and isinstance(keys, int) and keys else 1
