"""Device memory in segments of `cudaMalloc`: the default of torch's caching allocator.

Rules: `alloc_block`, `garbage_collect_cached_blocks`, `release_available_cached_blocks`, `release_cached_blocks` and
`release_block` of `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.
"""

from __future__ import annotations

from vramcast.allocator.aging import AgingPool, SearchCount
from vramcast.allocator.blocks import Block, BlockPool
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import UNLIMITED
from vramcast.allocator.driver import Driver
from vramcast.allocator.history import SegmentHistory
from vramcast.timeline import Segment


class MallocMemory:
    """One segment per `cudaMalloc`; it goes back only as one unsplit cached block."""

    def __init__(self, driver: Driver, config: AllocatorConfig, allowed: int) -> None:
        self.reserved = 0
        self._driver = driver
        self._config = config
        self._allowed = allowed
        self._history = SegmentHistory()
        self._pools: dict[tuple[bool, int], BlockPool] = {}
        self._aging: list[AgingPool] = []
        """The large pools, when garbage is collected: torch does so only below a memory fraction of 1."""
        self._searches = SearchCount()
        self._collects = config.garbage_collection_threshold > 0 and allowed < UNLIMITED

    def add_pool(self, stream: int, is_small: bool) -> BlockPool:
        """Make the pool of a stream and size class."""
        if is_small or not self._collects:
            pool = BlockPool(stream, is_small, self._config)
        else:
            pool = AgingPool(stream, is_small, self._config, self._searches)
            self._aging.append(pool)
        self._pools[is_small, stream] = pool
        return pool

    def grow(self, pool: BlockPool, size: int, event: int) -> Block | None:
        """Take a segment for a block of `size` bytes; None: the driver or the memory fraction does not allow it."""
        segment_size = self._config.segment_size(size)
        if self.reserved + segment_size > self._allowed:
            return None
        address = self._driver.malloc(segment_size)
        if address is None:
            return None
        self.reserved += segment_size
        self._history.open(Segment(address, segment_size, pool.stream, pool.is_small, born=event, died=None))
        block = Block(address, segment_size, pool)
        pool.add(block)
        return block

    def collect_garbage(self, event: int) -> None:
        """Above the threshold, give back large unsplit segments of at least average age, until below it or none is left."""
        if not self._collects:
            return
        target = int(self._config.garbage_collection_threshold * self._allowed)
        if self.reserved <= target:
            return
        ages = {block: pool.age(block) for pool in self._aging for block in pool.blocks() if not block.is_split}
        while self.reserved > target and ages:
            mean = sum(ages.values()) / len(ages)
            for block in [block for block, age in ages.items() if age >= mean]:
                del ages[block]
                self._release(block, event)

    def release_oversize(self, pool: BlockPool, size: int, event: int) -> bool:
        """Give back the smallest oversize segment that is large enough, else the largest ones until their sum is; False: too few."""
        max_split_size = self._config.max_split_size
        if max_split_size == UNLIMITED:
            return False
        wanted = max(size, max_split_size)
        sufficient = pool.at_least(wanted)
        if sufficient:
            self._release(sufficient[0], event)
            return True
        for block in reversed(pool.at_least(max_split_size)):
            self._release(block, event)
            wanted -= block.size
            if wanted <= 0:
                return True
        return False

    def release_cached(self, event: int) -> None:
        """Give every cached segment back that is not split, the large ones first."""
        for _, pool in sorted(self._pools.items()):
            for block in [block for block in pool.blocks() if not block.is_split]:
                self._release(block, event)

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment taken from the driver so far, in that order."""
        return self._history.segments()

    def _release(self, block: Block, event: int) -> None:
        block.pool.remove(block)
        self._driver.free(block.address)
        self._history.close(block.address, event)
        self.reserved -= block.size
