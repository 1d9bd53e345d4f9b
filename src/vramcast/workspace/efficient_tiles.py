"""Tiles of the memory-efficient attention's backward kernels, which decide what they accumulate in global memory.

Sources, read at torch 2.10 to 2.13: aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernels/cutlassB.h
(`dispatch_cutlassB_*`: the first kernel that fits is taken) and kernel_backward.h beside it (`kOutputInRF`,
`kNeedsAccumGradQ`, `kKernelComputesDelta`, `GradQTempStorage`). Kernels are told apart by type, head size and
architecture; those too large for the shared memory of small chips are taken all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

_LOCK_ELEMENTS = 4
"""Lock, counter and padding in front of every tile's accumulator, in fp32 elements (`GradQTempStorage`)."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One kernel."""

    queries: int
    """`kBlockSizeI`."""
    keys: int
    """`kBlockSizeJ`."""
    accumulates_queries: bool
    """Whether gradients of the query are summed in memory: keys are split, from compute capability 7.0 on, or half types."""
    accumulates_keys: bool
    """Whether gradients of key and value are, too: half types whose heads do not fit in registers."""
    computes_delta: bool
    """Whether the kernel computes `delta` itself rather than have it computed in fp32 beforehand."""

    def query_accumulator(self, length: int, head: int) -> int:
        """Return the fp32 elements of the query's accumulator per batch entry and head."""
        if not self.accumulates_queries:
            return 0
        return -(-length // self.queries) * -(-head // self.keys) * (self.queries * self.keys + _LOCK_ELEMENTS)


def tile_of(dtype: str, head: int, capability: tuple[int, int]) -> Tile:
    """Return the tile for a type, the larger head size, and an architecture."""
    is_half = dtype in ("float16", "bfloat16")
    is_ampere, splits_keys = capability >= (8, 0), capability >= (7, 0)
    queries, keys = 64, 64
    if head > 64 and (is_ampere or (splits_keys and is_half)):
        queries = 128
        keys = 128 if is_half and is_ampere and head <= 128 else 64
    in_registers = is_half and head <= min(queries, 128)
    is_volta = (7, 0) <= capability < (7, 5)
    return Tile(queries, keys, splits_keys or is_half, is_half and not in_registers, is_half and (in_registers or not is_volta))
