"""Language models built from their sizes alone, so that a campaign needs no folder of configurations.

Named in a campaign as `vramcast.measuring.campaigns.models:gpt2`; their inputs are the workload's own: token ids, and a mask where wanted.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCABULARY, WIDTH, HEADS, DEPTH, LONGEST = 32_000, 768, 12, 6, 2048


def gpt2() -> nn.Module:
    """GPT-2 of transformers, at its default sizes."""
    import transformers

    model: nn.Module = transformers.GPT2LMHeadModel(transformers.GPT2Config(use_cache=False))
    return model


def bert() -> nn.Module:
    """BERT base of transformers."""
    import transformers

    model: nn.Module = transformers.BertForMaskedLM(transformers.BertConfig())
    return model


def llama() -> nn.Module:
    """A Llama of 12 layers, 1024 wide, with 16 heads that share 4 keys."""
    import transformers

    sizes: dict[str, Any] = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 12, "num_attention_heads": 16}
    config = transformers.LlamaConfig(vocab_size=VOCABULARY, num_key_value_heads=4, use_cache=False, **sizes)
    model: nn.Module = transformers.LlamaForCausalLM(config)
    return model


def decoder() -> nn.Module:
    """A plain decoder, its attention causal by argument."""
    return _Decoder(None)


def decoder_masked() -> nn.Module:
    """The same with a boolean mask in place of the argument."""
    return _Decoder(torch.ones(LONGEST, LONGEST, dtype=torch.bool).tril())


def decoder_biased() -> nn.Module:
    """The same with an additive mask, as position biases are."""
    return _Decoder(torch.zeros(LONGEST, LONGEST))


class _Decoder(nn.Module):
    """Token ids N x S to logits N x S x V."""

    def __init__(self, mask: Tensor | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        self.register_buffer("mask", mask)
        self.mask: Tensor | None

    def forward(self, ids: Tensor) -> Tensor:
        hidden: Tensor = self.embedding(ids)
        count = ids.shape[1]
        mask = None if self.mask is None else self.mask[:count, :count]
        for block in self.blocks:
            hidden = block(hidden, mask)
        logits: Tensor = self.head(hidden)
        return logits


class _Block(nn.Module):
    """Attention and a perceptron, each with its norm before it."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.projections = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.perceptron = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        batch, count, _ = hidden.shape
        parts = self.projections(self.norms[0](hidden)).view(batch, count, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        if mask is not None and mask.dtype is not torch.bool:
            mask = mask.to(parts.dtype)
        query, key, value = parts.unbind()
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        summed: Tensor = hidden + self.out(attended.transpose(1, 2).reshape(batch, count, WIDTH))
        result: Tensor = summed + self.perceptron(self.norms[1](summed))
        return result
