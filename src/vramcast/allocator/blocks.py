"""Blocks, and the pools of free ones: `Block` and `BlockPool` of `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.

torch keeps one ordered set per size class, sorted by stream, size and address; here each stream has its own list.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import MIN_BLOCK_SIZE, SMALL_SIZE, UNLIMITED


class Block:
    """A stretch of a segment, linked to its neighbours within that segment."""

    __slots__ = ("address", "following", "is_free", "is_mapped", "pool", "previous", "size")

    def __init__(self, address: int, size: int, pool: BlockPool, previous: Block | None = None, following: Block | None = None) -> None:
        self.address = address
        self.size = size
        self.pool = pool
        self.previous = previous
        self.following = following
        self.is_free = False
        """Cached in its pool: backed by memory and used by nobody."""
        self.is_mapped = True
        """Backed by memory; False only in an expandable segment."""

    @property
    def is_split(self) -> bool:
        """Whether it shares its segment with other blocks."""
        return self.previous is not None or self.following is not None

    def split_front(self, size: int) -> Block:
        """Cut off the first `size` bytes as a block of their own, in front of the rest, and return it."""
        front = Block(self.address, size, self.pool, self.previous, self)
        if self.previous is not None:
            self.previous.following = front
        self.previous = front
        self.address += size
        self.size -= size
        return front

    def absorb_previous(self, previous: Block) -> None:
        """Take over the bytes of the block before this one."""
        self.address = previous.address
        self.size += previous.size
        self.previous = previous.previous
        if self.previous is not None:
            self.previous.following = self

    def absorb_following(self, following: Block) -> None:
        """Take over the bytes of the block after this one."""
        self.size += following.size
        self.following = following.following
        if self.following is not None:
            self.following.previous = self


class BlockPool:
    """The free blocks of one stream and size class, in the order in which torch searches: by size, then by address."""

    __slots__ = ("_entries", "_max_non_split_rounding_size", "_max_split_size", "is_small", "largest_slack", "split_below", "stream")

    def __init__(self, stream: int, is_small: bool, config: AllocatorConfig) -> None:
        self.stream = stream
        self.is_small = is_small
        self._entries: list[tuple[int, int, Block]] = []
        """Size, address and block; no two share an address, so blocks themselves are never compared."""
        self._max_split_size = config.max_split_size
        self._max_non_split_rounding_size = config.max_non_split_rounding_size
        # should_split: the remainder is a block of its own from 512 bytes on, in a large segment only above 1 MiB.
        splits_any = is_small or config.expandable_segments
        self.largest_slack = MIN_BLOCK_SIZE - 1 if splits_any else SMALL_SIZE
        self.split_below = UNLIMITED if splits_any else config.max_split_size

    def blocks(self) -> list[Block]:
        """Return the cached blocks in order."""
        return [block for _, _, block in self._entries]

    def add(self, block: Block) -> None:
        """Cache a block."""
        block.is_free = True
        insort(self._entries, (block.size, block.address, block))

    def add_joined(self, block: Block) -> None:
        """Cache a block, joined with its free neighbours (`free_block`, `try_merge_blocks`)."""
        neighbour = block.previous
        if neighbour is not None and neighbour.is_free:
            self.remove(neighbour)
            block.absorb_previous(neighbour)
        neighbour = block.following
        if neighbour is not None and neighbour.is_free:
            self.remove(neighbour)
            block.absorb_following(neighbour)
        self.add(block)

    def remove(self, block: Block) -> None:
        """Take a certain block out."""
        block.is_free = False
        del self._entries[bisect_left(self._entries, (block.size, block.address))]

    def take(self, size: int) -> Block | None:
        """Take out the smallest block of at least `size` bytes, the lowest of several; None when there is none, or it is too large."""
        entries = self._entries
        index = bisect_left(entries, (size,))
        if index == len(entries):
            return None
        block = entries[index][2]
        if block.size >= self._max_split_size and not self.may_serve(size, block):
            return None
        del entries[index]
        block.is_free = False
        return block

    def at_least(self, size: int) -> list[Block]:
        """Return the blocks of at least `size` bytes in order."""
        return [block for _, _, block in self._entries[bisect_left(self._entries, (size,)) :]]

    def may_serve(self, size: int, block: Block) -> bool:
        """Whether `max_split_size` allows it: oversize blocks are kept for oversize requests of about their size."""
        if block.size < self._max_split_size:
            return True
        return self._max_split_size <= size and block.size < size + self._max_non_split_rounding_size
