"""Caches of keys and values: which tensors they hold, and one that grows as transformers' tuples did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def cached_tensors(outputs: Any) -> Iterator[torch.Tensor]:
    """List keys and values in the outputs of a transformers model (5.23: a `Cache` with layers; encoder-decoders have two of them)."""
    cache = getattr(outputs, "past_key_values", None)
    for part in (cache, getattr(cache, "self_attention_cache", None), getattr(cache, "cross_attention_cache", None)):
        for layer in getattr(part, "layers", ()):
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None)):
                if isinstance(tensor, torch.Tensor):
                    yield tensor


class TupleLayer:
    """Keys and values of one layer, N x heads x tokens x head size: those before this step and those after it, both held."""

    def __init__(self, before: tuple[torch.Tensor, torch.Tensor] | None) -> None:
        self.before = before
        self.keys: torch.Tensor | None = None
        self.values: torch.Tensor | None = None


class TupleCache:
    """The keys and values of all layers, as transformers kept them up to 4.35: `past_key_values` goes into a step, and another comes out.

    It answers what a module of transformers 5.23 asks of a cache. Without a step before it nothing is concatenated: the step's own
    keys and values are what is kept (4.35.2, `LlamaAttention.forward`).
    """

    is_compileable = False

    def __init__(self) -> None:
        self.layers: list[TupleLayer] = []

    def next_step(self) -> TupleCache:
        """Return the cache that goes into the next step; what went into this one is no longer held."""
        follower = TupleCache()
        for layer in self.layers:
            layer.before = None
            if layer.keys is not None and layer.values is not None:
                follower.layers.append(TupleLayer((layer.keys, layer.values)))
        return follower

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_args: Any, **_keywords: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Add a step's keys and values to those of a layer; return all of them."""
        while len(self.layers) <= layer_idx:
            self.layers.append(TupleLayer(None))
        layer = self.layers[layer_idx]
        if layer.before is not None:
            keys = torch.cat([layer.before[0], keys], dim=2)
            values = torch.cat([layer.before[1], values], dim=2)
        layer.keys, layer.values = keys, values
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the tokens held: those of this step too where the layer has had it."""
        if len(self.layers) <= layer_idx:
            return 0
        layer = self.layers[layer_idx]
        held = layer.keys if layer.keys is not None else layer.before[0] if layer.before else None
        return 0 if held is None else held.shape[2]

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Return the position of the first query."""
        return self.get_seq_length(layer_idx)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return how many positions the mask spans, and from which on."""
        return self.get_seq_length(layer_idx) + query_length, 0

    @property
    def is_sliding(self) -> list[bool]:
        """Tell which layers look back on a window only: none is cut."""
        return [False] * len(self.layers)

    is_linear = is_dummy = is_sliding
