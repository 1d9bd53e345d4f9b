"""Over how many blocks flash attention splits the keys of a call with few queries.

Source: `num_splits_heuristic` and `set_params_splitkv`, aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp,
read at torch 2.10 to 2.13.
"""

from __future__ import annotations

from vramcast.trace import TensorSpec

_QUERIES_PER_BLOCK = 64
_MOST_SPLITS = 128
_FULL_ENOUGH = 0.8
"""Share of the multiprocessors that makes splitting pointless."""
_GOOD_ENOUGH = 0.85
"""Share of the best efficiency that the smallest number of splits must reach."""


def splits_of(query: TensorSpec, key: TensorSpec, sm_count: int) -> int:
    """Return the number of splits for (B, H, S, E) query and key; 1: none."""
    batch, heads, length, head = query.shape
    keys_per_block = 256 if head <= 64 else 128 if head <= 128 else 64
    key_blocks = -(-key.shape[2] // keys_per_block)
    return _heuristic(batch * heads * -(-length // _QUERIES_PER_BLOCK), 2 * sm_count, key_blocks)


def _heuristic(blocks: int, multiprocessors: int, key_blocks: int) -> int:
    if blocks >= _FULL_ENOUGH * multiprocessors:
        return 1
    efficiency = {}
    for splits in range(1, min(_MOST_SPLITS, multiprocessors, key_blocks) + 1):
        # A number that leaves the blocks per split as they were splits no further.
        if splits == 1 or -(-key_blocks // splits) != -(-key_blocks // (splits - 1)):
            waves = blocks * splits / multiprocessors
            efficiency[splits] = waves / -(-blocks * splits // multiprocessors)
    best = max(efficiency.values(), default=0.0)
    return next((splits for splits, value in efficiency.items() if value >= _GOOD_ENOUGH * best), 1)
