"""GGUF's tensor types, and which type llama.cpp's quantiser gives each tensor of a language model.

Block sizes: `GGML_QUANT_SIZES`, gguf-py 0.19. Types per tensor: `llama_tensor_get_type_impl` and `tensor_type_fallback` of llama.cpp,
`src/llama-quant.cpp` at 007dbbf3, without an importance matrix, for models without experts; not for Falcon, which has rules of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

GGUF_BLOCKS: Mapping[str, tuple[int, int]] = MappingProxyType({
    "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2),
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
    "IQ1_S": (256, 50), "IQ1_M": (256, 56), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ2_S": (256, 82),
    "IQ3_XXS": (256, 98), "IQ3_S": (256, 110), "IQ4_NL": (32, 18), "IQ4_XS": (256, 136),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17),
})  # fmt: skip
"""Type -> values in a block, bytes of a block."""

_BASE = {
    "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K",
    "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K", "IQ4_NL": "IQ4_NL", "IQ4_XS": "IQ4_XS",
    **{name: name for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "F16", "BF16")},
}  # fmt: skip
"""What a file of this name stores a tensor as, unless a rule says otherwise (`llama_ftype_get_default_type`)."""
GGUF_FILES = tuple(_BASE)
"""Names of mixtures, as `llama-quantize` takes them."""
_FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "IQ4_XS": "IQ4_NL"}
"""Where rows do not divide into blocks of 256."""
_EIGHTHS = 8


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A matrix of a model, as the rules see it."""

    role: str
    """`token_embd`, `output`, `attn_q`, `attn_k`, `attn_v`, `attn_qkv`, `attn_output`, `ffn_up`, `ffn_gate`, `ffn_down`, or any other."""
    columns: int
    """Values in a row: what is packed into blocks."""
    layer: int = 0
    layers: int = 1
    """Which of the tensors of its role it is, and how many there are."""
    heads_per_key: int = 1
    """Query heads that share one key head (`n_gqa`)."""
    is_tied: bool = False
    """Token embeddings that are the output matrix too."""


def gguf_type(mixture: str, tensor: GgufTensor) -> str:
    """Return the type that a file of this mixture stores a tensor as."""
    base = _BASE[mixture]
    wanted = base if base in ("F16", "BF16") else _chosen(mixture, base, tensor)
    return _that_divides(wanted, tensor.columns)


def gguf_bytes(kind: str, rows: int, columns: int) -> int:
    """Return the bytes of a matrix."""
    values, size = GGUF_BLOCKS[kind]
    return rows * -(-columns // values) * size


def _that_divides(kind: str, columns: int) -> str:
    if columns % GGUF_BLOCKS[kind][0] == 0:
        return kind
    other = _FALLBACK.get(kind, "F16")
    return other if columns % GGUF_BLOCKS[other][0] == 0 else "F16"


def _chosen(mixture: str, base: str, tensor: GgufTensor) -> str:
    if tensor.role == "output" or (tensor.role == "token_embd" and tensor.is_tied):
        return "Q8_0" if base == "Q8_0" or tensor.columns % GGUF_BLOCKS[base][0] else "Q6_K"
    rule = _RULES.get(tensor.role)
    return base if rule is None else rule(mixture, base, tensor)


def _has_more_bits(layer: int, layers: int) -> bool:
    """The first and the last eighth, and every third layer between."""
    return layer < layers // _EIGHTHS or layer >= 7 * layers // _EIGHTHS or (layer - layers // _EIGHTHS) % 3 == 2


def _of_values(mixture: str, base: str, tensor: GgufTensor) -> str:
    if mixture == "Q2_K":
        return "Q4_K" if tensor.heads_per_key >= 4 else "Q3_K"
    if mixture == "Q3_K_M":
        return "Q5_K" if tensor.layer < 2 else "Q4_K"
    if mixture == "Q3_K_L" or (mixture == "Q4_K_S" and tensor.layer < 4):
        return "Q5_K"
    if mixture in ("IQ4_NL", "IQ4_XS") and tensor.heads_per_key >= 4:
        return "Q5_K"
    if mixture in ("Q4_K_M", "Q5_K_M") and _has_more_bits(tensor.layer, tensor.layers):
        return "Q6_K"
    return base


def _of_down(mixture: str, base: str, tensor: GgufTensor) -> str:
    is_early = tensor.layer < tensor.layers // _EIGHTHS
    if mixture == "Q3_K_M":
        return "Q5_K" if tensor.layer < tensor.layers // 16 else "Q4_K"
    if mixture in ("Q4_K_M", "Q5_K_M") and _has_more_bits(tensor.layer, tensor.layers):
        return "Q6_K"
    if mixture in ("Q4_K_S", "IQ4_NL", "IQ4_XS") and is_early:
        return "Q5_K"
    return {"Q2_K": "Q3_K", "Q3_K_L": "Q5_K"}.get(mixture, base)


def _of_attention_output(mixture: str, base: str, tensor: GgufTensor) -> str:
    return {"Q2_K": "Q3_K", "Q3_K_M": "Q4_K", "Q3_K_L": "Q5_K"}.get(mixture, base)


def _of_joint_attention(mixture: str, base: str, tensor: GgufTensor) -> str:
    """A joint matrix of queries, keys and values counts as values: the rule for values goes before that of its own (llama-quant.cpp)."""
    return _of_values(mixture, base, tensor)


_RULES = {"attn_v": _of_values, "attn_qkv": _of_joint_attention, "ffn_down": _of_down, "attn_output": _of_attention_output}
