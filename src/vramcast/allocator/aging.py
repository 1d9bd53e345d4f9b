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

    __slots__ = ("_count",)

    def __init__(self, stream: int, is_small: bool, config: AllocatorConfig, count: SearchCount) -> None:
        super().__init__(stream, is_small, config)
        self._count = count

    def add(self, block: Block) -> None:
        """Cache a block, whose age is 0 from now on."""
        super().add(block)
        block.cached_at = self._count.searches

    def add_joined(self, block: Block) -> None:
        """Cache a block with its free neighbours; the age of the whole is 0 from now on."""
        super().add_joined(block)
        block.cached_at = self._count.searches

    def take(self, size: int) -> Block | None:
        """Search as every pool does; the blocks of all streams grow older by one."""
        self._count.searches += 1
        return super().take(size)

    def take_at(self, index: int, size: int) -> Block:
        """Take as every pool does; the age of what is left is 0 from now on."""
        self._entries[index][2].cached_at = self._count.searches
        return super().take_at(index, size)

    def age(self, block: Block) -> int:
        """Return the number of searches since `block` was cached."""
        return self._count.searches - block.cached_at
