"""How long free blocks have lain unused: what `garbage_collection_threshold` goes by.

Rules: `gc_count`, `insert_into_blocks` and `get_free_block` of `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.
"""

from __future__ import annotations

from vramcast.allocator.blocks import Block, BlockPool
from vramcast.allocator.config import AllocatorConfig


class SearchCount:
    """Counts the searches in the pools of one size class, over all streams."""

    def __init__(self) -> None:
        self.searches = 0


class AgingPool(BlockPool):
    """A pool that knows the age of its blocks: the searches since a block was cached."""

    __slots__ = ("_cached_at", "_count")

    def __init__(self, stream: int, is_small: bool, config: AllocatorConfig, count: SearchCount) -> None:
        super().__init__(stream, is_small, config)
        self._count = count
        self._cached_at: dict[Block, int] = {}

    def add(self, block: Block) -> None:
        """Cache a block, whose age is 0 from now on."""
        self._cached_at[block] = self._count.searches
        super().add(block)

    def remove(self, block: Block) -> None:
        """Take a certain block out."""
        super().remove(block)
        del self._cached_at[block]

    def take(self, size: int) -> Block | None:
        """Search as every pool does; the blocks of all streams grow older by one."""
        self._count.searches += 1
        block = super().take(size)
        if block is not None:
            del self._cached_at[block]
        return block

    def age(self, block: Block) -> int:
        """Return the number of searches since `block` was cached."""
        return self._count.searches - self._cached_at[block]
