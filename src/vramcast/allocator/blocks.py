"""Blocks, and the pools of free ones: `Block` and `BlockPool` of `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.

torch keeps one ordered set per size class, sorted by stream, size and address; here each stream has its own list.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import MIN_BLOCK_SIZE, SMALL_SIZE, UNLIMITED


class Block:
    """A stretch of a segment, linked to its neighbours within that segment."""

    __slots__ = ("address", "cached_at", "following", "is_free", "is_mapped", "pool", "previous", "size")

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
        self.cached_at: int
        """Which search of its pool came last before it was cached; known only to pools that go by age."""

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

    __slots__ = ("_entries", "_largest_slack", "_max_non_split_rounding_size", "_max_split_size", "_split_below", "is_small", "stream")

    def __init__(self, stream: int, is_small: bool, config: AllocatorConfig) -> None:
        self.stream = stream
        self.is_small = is_small
        self._entries: list[tuple[int, int, Block]] = []
        """Size, address and block; no two share an address, so blocks themselves are never compared."""
        self._max_split_size = config.max_split_size
        self._max_non_split_rounding_size = config.max_non_split_rounding_size
        # should_split: the remainder is a block of its own from 512 bytes on, in a large segment only above 1 MiB.
        splits_any = is_small or config.expandable_segments
        self._largest_slack = MIN_BLOCK_SIZE - 1 if splits_any else SMALL_SIZE
        self._split_below = UNLIMITED if splits_any else config.max_split_size

    def blocks(self) -> list[Block]:
        """Return the cached blocks in order."""
        return [block for _, _, block in self._entries]

    def add(self, block: Block) -> None:
        """Cache a block."""
        block.is_free = True
        insort(self._entries, (block.size, block.address, block))

    def add_joined(self, block: Block) -> None:
        """Cache a block, joined with its free neighbours (`free_block`, `try_merge_blocks`)."""
        # As `take_at` the hot path of a replay: links and list are changed here, since a call costs as much as all it would do.
        entries = self._entries
        neighbour = block.previous
        if neighbour is not None and neighbour.is_free:
            del entries[bisect_left(entries, (neighbour.size, neighbour.address))]
            neighbour.is_free = False
            block.address = neighbour.address
            block.size += neighbour.size
            block.previous = neighbour = neighbour.previous
            if neighbour is not None:
                neighbour.following = block
        neighbour = block.following
        if neighbour is not None and neighbour.is_free:
            del entries[bisect_left(entries, (neighbour.size, neighbour.address))]
            neighbour.is_free = False
            block.size += neighbour.size
            block.following = neighbour = neighbour.following
            if neighbour is not None:
                neighbour.previous = block
        block.is_free = True
        insort(entries, (block.size, block.address, block))

    def remove(self, block: Block) -> None:
        """Take a certain block out."""
        block.is_free = False
        del self._entries[bisect_left(self._entries, (block.size, block.address))]

    def take(self, size: int) -> Block | None:
        """Take `size` bytes off the smallest block that has them, the lowest of several; None when there is none, or it is too large."""
        entries = self._entries
        index = bisect_left(entries, (size,))
        if index == len(entries):
            return None
        block = entries[index][2]
        if block.size >= self._max_split_size and not self.may_serve(size, block):
            return None
        return self.take_at(index, size)

    def take_off(self, block: Block, size: int) -> Block:
        """Take `size` bytes off a certain block that has them."""
        return self.take_at(bisect_left(self._entries, (block.size, block.address)), size)

    def take_at(self, index: int, size: int) -> Block:
        """Take `size` bytes off the block at a place in the order: its front, or all of it where the rest is too small (`should_split`)."""
        entries = self._entries
        held, address, block = entries[index]
        rest = held - size
        if rest <= self._largest_slack or size >= self._split_below:
            del entries[index]
            block.is_free = False
            return block
        previous = block.previous
        front = Block(address, size, self, previous, block)
        if previous is not None:
            previous.following = front
        block.previous, block.address, block.size = front, address + size, rest
        entry = (rest, address + size, block)
        if index and entry < entries[index - 1]:
            del entries[index]
            insort(entries, entry)
        else:
            entries[index] = entry  # As mostly: what is left keeps its place in the order.
        return front

    def at_least(self, size: int) -> list[Block]:
        """Return the blocks of at least `size` bytes in order."""
        return [block for _, _, block in self._entries[bisect_left(self._entries, (size,)) :]]

    def may_serve(self, size: int, block: Block) -> bool:
        """Whether `max_split_size` allows it: oversize blocks are kept for oversize requests of about their size."""
        if block.size < self._max_split_size:
            return True
        return self._max_split_size <= size and block.size < size + self._max_non_split_rounding_size
