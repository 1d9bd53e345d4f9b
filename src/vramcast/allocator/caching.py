"""torch's native CUDA caching allocator: `DeviceCachingAllocator` of `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.

A request is rounded, served by the best-fitting free block of its stream and size class, and split off it. Freed
blocks join their free neighbours and stay cached; new memory is taken only when no block fits. Where that memory comes
from is the business of `DeviceMemory`: whole segments (`cudamalloc.py`), or one that grows by pages (`expandable.py`).

Not simulated, because a trace says nothing of them: blocks used on other streams (`record_stream`), whose reuse waits for
those streams, private pools of CUDA graphs, and user pools (`torch.cuda.MemPool`).
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from vramcast.allocator.blocks import Block, BlockPool
from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.constants import SMALL_SIZE
from vramcast.timeline import Segment

PoolT = TypeVar("PoolT", bound=BlockPool)


class DeviceMemory(Protocol[PoolT]):
    """Where the pools get memory from and give it back to."""

    reserved: int
    """Bytes held now."""

    def add_pool(self, stream: int, is_small: bool) -> PoolT:
        """Make the pool of a stream and size class."""

    def grow(self, pool: PoolT, size: int, event: int) -> Block | None:
        """Return a new block of at least `size` bytes, cached in the pool (`alloc_block`); None: there is not enough memory."""

    def collect_garbage(self, event: int) -> None:
        """Give old cached segments back before new ones are taken (`garbage_collect_cached_blocks`)."""

    def release_oversize(self, pool: PoolT, size: int, event: int) -> bool:
        """Give just enough oversize segments back for `size` bytes (`release_available_cached_blocks`); False: not possible."""

    def release_cached(self, event: int) -> None:
        """Give everything back that is cached and unsplit (`release_cached_blocks`)."""

    def segments(self) -> tuple[Segment, ...]:
        """Return everything taken from the driver so far, in that order."""


class CachingAllocator(Generic[PoolT]):
    """The native allocator of one device."""

    def __init__(self, memory: DeviceMemory[PoolT], config: AllocatorConfig) -> None:
        self.num_alloc_retries = 0
        self._memory = memory
        self._config = config
        self._pools: dict[tuple[int, bool], PoolT] = {}
        self._routes: dict[int, dict[int, tuple[int, PoolT]]] = {}
        """Stream and requested bytes -> rounded size and pool: few sizes are asked for many times."""

    @property
    def reserved(self) -> int:
        """Bytes of the segments held now."""
        return self._memory.reserved

    def allocate(self, requested: int, stream: int, event: int) -> Block | None:
        """Serve `requested` bytes on `stream` (`malloc`); None: out of memory."""
        try:
            size, pool = self._routes[stream][requested]
        except KeyError:
            size, pool = self._route(requested, stream)
        block = pool.take(size)
        if block is None:
            block = self._grow(pool, size, event)
        return block

    def free(self, block: Block) -> None:
        """Cache a block for further requests; nothing goes back to the driver."""
        block.pool.add_joined(block)

    def empty_cache(self, event: int) -> None:
        """Give unsplit cached segments back to the driver (`emptyCache`)."""
        self._memory.release_cached(event)

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment taken from the driver so far, in that order."""
        return self._memory.segments()

    def _route(self, requested: int, stream: int) -> tuple[int, PoolT]:
        """Round a request and find its pool, once for each size."""
        size = self._config.round_size(requested)
        is_small = size <= SMALL_SIZE
        pool = self._pools.get((stream, is_small))
        if pool is None:
            pool = self._pools[stream, is_small] = self._memory.add_pool(stream, is_small)
        self._routes.setdefault(stream, {})[requested] = size, pool
        return size, pool

    def _grow(self, pool: PoolT, size: int, event: int) -> Block | None:
        """Take new memory; when there is none, give cached segments back and try again, in the order of `malloc`."""
        memory = self._memory
        memory.collect_garbage(event)
        block = memory.grow(pool, size, event)
        if block is None and memory.release_oversize(pool, size, event):
            block = memory.grow(pool, size, event)
        if block is None:
            memory.release_cached(event)
            self.num_alloc_retries += 1
            block = memory.grow(pool, size, event)
        return None if block is None else pool.take_off(block, size)
