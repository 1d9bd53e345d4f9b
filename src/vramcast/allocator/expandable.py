"""Device memory in segments that grow by pages: `expandable_segments:True` of torch's caching allocator.

Each pool reserves a range of addresses larger than the device's memory once, and backs it with pages as it needs them: of 2 MiB
in the small pool, of `large_segment_size` in the large one. Rules: Note "Expandable Segments", `ExpandableSegment`,
`get_free_block`, `find_expandable_block`, `map_block`, `unmap_block` and `release_blocks` of
`c10/cuda/CUDACachingAllocator.cpp`, torch 2.13. `max_split_size_mb` and `garbage_collection_threshold` give nothing back here.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from operator import attrgetter

from vramcast.allocator.blocks import Block, BlockPool
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import SMALL_SEGMENT_SIZE
from vramcast.allocator.driver import Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.timeline import Segment
from vramcast.units import round_up

_UNKNOWN_DEVICE_MEMORY = 2**50
"""Stands for the device's memory when it is not known; only the size of the address ranges depends on it."""

_address = attrgetter("address")


class ExpandablePool(BlockPool):
    """The free blocks of one stream and size class, and the parts of its address ranges that have no memory."""

    __slots__ = ("page_size", "unmapped")

    def __init__(self, stream: int, is_small: bool, config: AllocatorConfig) -> None:
        super().__init__(stream, is_small, config)
        self.page_size = SMALL_SEGMENT_SIZE if is_small else config.large_segment_size
        self.unmapped: list[Block] = []
        """By address."""

    def take(self, size: int) -> Block | None:
        """Take from the smallest sufficient block, where one that can grow counts with all it can grow to."""
        entries = self._entries
        index = bisect_left(entries, (size,))
        if index == len(entries):
            return None
        # As in get_free_block: on to the next larger block as long as that one can grow to less.
        while index + 1 < len(entries) and _room(entries[index + 1][2]) < _room(entries[index][2]):
            index += 1
        block = entries[index][2]
        if not self.may_serve(size, block):
            return None
        return self.take_at(index, size)

    def add_unmapped(self, block: Block) -> None:
        """Note a stretch of addresses without memory."""
        block.is_mapped = False
        insort(self.unmapped, block, key=_address)

    def remove_unmapped(self, block: Block) -> None:
        """Forget such a stretch."""
        del self.unmapped[bisect_left(self.unmapped, block.address, key=_address)]


def _room(block: Block) -> int:
    after = block.following
    return block.size + (after.size if after is not None and not after.is_mapped else 0)


class ExpandableMemory:
    """One growing segment per pool, and further ones once its addresses are used up."""

    def __init__(self, driver: Driver, config: AllocatorConfig, allowed: int, device_memory: int | None) -> None:
        self.reserved = 0
        self._driver = driver
        self._config = config
        self._allowed = allowed
        memory = _UNKNOWN_DEVICE_MEMORY if device_memory is None else device_memory
        # 1 1/8 of the device's memory, so that pages freed early in the range can be had again at its end.
        self._address_space = memory + memory // 8
        self._history = SegmentHistory()
        self._pools: dict[tuple[bool, int], ExpandablePool] = {}

    def add_pool(self, stream: int, is_small: bool) -> ExpandablePool:
        """Make the pool of a stream and size class."""
        pool = self._pools[is_small, stream] = ExpandablePool(stream, is_small, self._config)
        return pool

    def grow(self, pool: ExpandablePool, size: int, event: int) -> Block | None:
        """Back the lowest addresses that have room for `size` bytes with pages, as far as they are not; None: out of memory.

        Pages mapped before the memory ran out stay in the pool.
        """
        if self.reserved + self._config.segment_size(size) > self._allowed:
            return None
        block = self._find_room(pool, size)
        while block is not None and (not block.is_mapped or block.size < size):
            held, stretch = (block.size, block.following) if block.is_mapped else (0, block)
            assert stretch is not None, "_find_room counted what follows"
            block = self._map(pool, stretch, min(size - held, stretch.size), event)
        return block

    def collect_garbage(self, event: int) -> None:
        """Do nothing: pages are not collected."""

    def release_oversize(self, pool: ExpandablePool, size: int, event: int) -> bool:
        """Release nothing: blocks of an expandable segment are passed over."""
        return False

    def release_cached(self, event: int) -> None:
        """Give back every page that lies wholly inside a free block."""
        for _, pool in sorted(self._pools.items()):
            for block in pool.blocks():
                self._unmap(pool, block, event)

    def segments(self) -> tuple[Segment, ...]:
        """Return every stretch of pages that was mapped at once, and unmapped at once, in that order."""
        return self._history.segments()

    def _find_room(self, pool: ExpandablePool, size: int) -> Block | None:
        for unmapped in pool.unmapped:
            before = unmapped.previous
            block = before if before is not None and before.is_free else unmapped
            if _has_room(block, size):
                return block
        length = round_up(self._address_space, pool.page_size)
        if size > length:
            return None
        block = Block(self._driver.reserve_addresses(length, pool.page_size), length, pool)
        pool.add_unmapped(block)
        return block

    def _map(self, pool: ExpandablePool, block: Block, size: int, event: int) -> Block | None:
        """Back the front of an unmapped block with whole pages, cache it joined with its free neighbours, and return it."""
        length = round_up(size, pool.page_size)
        if not self._driver.create(length):
            return None
        if length < block.size:
            # What stays unmapped keeps its place in the pool's order.
            block = block.split_front(length)
        else:
            pool.remove_unmapped(block)
            block.is_mapped = True
        self._history.open(Segment(block.address, length, pool.stream, pool.is_small, born=event, died=None, is_expandable=True))
        self.reserved += length
        pool.add_joined(block)
        return block

    def _unmap(self, pool: ExpandablePool, block: Block, event: int) -> None:
        """Give back the whole pages inside a free block; what lies before and after them stays cached."""
        start = round_up(block.address, pool.page_size)
        length = (block.address + block.size - start) // pool.page_size * pool.page_size
        if length <= 0:
            return
        pool.remove(block)
        if block.address < start:
            pool.add(block.split_front(start - block.address))
        if length < block.size:
            pages = block.split_front(length)
            pool.add(block)
            block = pages
        self._driver.release(length)
        self._history.close_part(start, length, event)
        self.reserved -= length
        self._join_unmapped(pool, block)

    def _join_unmapped(self, pool: ExpandablePool, block: Block) -> None:
        if block.previous is not None and not block.previous.is_mapped:
            pool.remove_unmapped(block.previous)
            block.absorb_previous(block.previous)
        if block.following is not None and not block.following.is_mapped:
            pool.remove_unmapped(block.following)
            block.absorb_following(block.following)
        if block.is_split:
            pool.add_unmapped(block)
        else:
            self._driver.release_addresses(block.address, block.size, pool.page_size)


def _has_room(block: Block, size: int) -> bool:
    """Whether `size` bytes are free or unmapped from `block` on without a gap."""
    candidate: Block | None = block
    while size > 0 and candidate is not None and (candidate.is_free or not candidate.is_mapped):
        size -= candidate.size
        candidate = candidate.following
    return size <= 0
