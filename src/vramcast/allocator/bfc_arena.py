"""ONNX Runtime's arena, `BFCArena` ("best fit with coalescing"): regions taken from the device, cut into chunks.

Read in `onnxruntime/core/framework/bfc_arena.h` and `bfc_arena.cc` (commit 009aae1 for the code with streams, commit 2944c6f of
`allocator_utils.cc` for the defaults), held against onnxruntime 1.32.0, whose CPU arena is the same class (`tests/allocator/real_arena.py`).

- Requests are rounded up to 256 bytes. Free chunks are kept in 21 bins of sizes from 256 * 2**i on, within a bin by size, then by address
  (`ChunkComparator`). The search begins in the request's bin and takes the first chunk that is large enough. Since bins are ranges of sizes, that is
  the smallest sufficient chunk of all, the lowest of several: one ordered list says the same.
- A chunk is split where it is at least twice as large as the request, or where `max_dead_bytes_per_chunk` or more would be wasted
  (`SplitFreeChunkFromBin`). Else all of it is handed out.
- A chunk given back is joined with its free neighbours (`Coalesce`), if they belong to the same stream. Memory that no stream has used yet
  belongs to none. After a run all chunks of its stream belong to none again, and are joined (`ResetChunkOnTargetStream`;
  that each run ends so is assumed).
- `Reserve` takes memory from the device, beside the regions, and gives it back as soon as it is free.
- The limit counts regions and reserved memory, but only regions heed it (`Extend`); the difference is unsigned, so that more reserved memory than
  the limit allows lifts it altogether.

Of all this the device sees only regions and reserved memory. Their exact sizes are what is counted as held, as ONNX Runtime logs them ("Total
allocated bytes"); the driver's pages of 2 MiB count against the room on the card.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from vramcast.allocator.history import SegmentHistory
from vramcast.timeline import Segment
from vramcast.units import GIB, KIB, MIB, round_up

MIN_ALLOCATION_SIZE = 256
"""`kMinAllocationSize`."""
NUM_BINS = 21
"""`kNumBins`."""
UNLIMITED = 2**64 - 1
"""`DEFAULT_MAX_MEM`."""
_BACKPEDAL_FACTOR = np.float32(0.9)
"""`kBackpedalFactor`: after a refusal the region is made so much smaller, in single precision."""
_SMALLEST_ATTEMPT = 8 * KIB
NO_STREAM = 0
"""Requests that belong to no stream, and chunks that no stream has used."""

ExtendStrategy = Literal["kNextPowerOfTwo", "kSameAsRequested"]


@dataclass(frozen=True, slots=True)
class ArenaConfig:
    """`OrtArenaCfg`, with the defaults of `BFCArena`."""

    max_mem: int = UNLIMITED
    """Bytes (`gpu_mem_limit`)."""
    arena_extend_strategy: ExtendStrategy = "kNextPowerOfTwo"
    initial_chunk_size_bytes: int = MIB
    max_dead_bytes_per_chunk: int = 128 * MIB
    initial_growth_chunk_size_bytes: int = 2 * MIB
    """Size of the next region after the arena was shrunk."""
    max_power_of_two_extend_bytes: int = GIB
    """Regions do not grow beyond this by themselves, only where a request does."""


class Device(Protocol):
    """Where regions come from: `Driver`, or anything that hands out memory at addresses."""

    def malloc(self, size: int) -> int | None:
        """Return the address of `size` bytes; None: out of memory."""

    def free(self, address: int) -> None:
        """Take back what `malloc` returned."""


class Chunk:
    """A stretch of a region, linked to its neighbours within that region; or reserved memory."""

    __slots__ = ("address", "following", "in_use", "previous", "region", "size", "stream")

    def __init__(self, address: int, size: int, stream: int, region: Region | None) -> None:
        self.address = address
        self.size = size
        self.stream = stream
        self.region = region
        """None: reserved."""
        self.in_use = False
        self.previous: Chunk | None = None
        self.following: Chunk | None = None


@dataclass(eq=False, slots=True)
class Region:
    """Memory that was taken from the device at once."""

    number: int
    first: Chunk | None
    """Its chunk at the lowest address."""
    address: int
    size: int


class BfcArena:
    """See `Allocator`; `reserve`, `end_run` and `shrink` are ONNX Runtime's own."""

    def __init__(self, device: Device, config: ArenaConfig) -> None:
        self.reserved = 0
        self.num_alloc_retries = 0
        self.extensions: list[int] = []
        """Sizes of all regions taken so far ("Extended allocation by …")."""
        self._device = device
        self._config = config
        self._growth = round_up(min(config.max_mem, config.initial_chunk_size_bytes), MIN_ALLOCATION_SIZE)
        self._regions: list[Region] = []
        self._free: list[tuple[int, int, Chunk]] = []
        """Size, address and chunk; no two share an address."""
        self._history = SegmentHistory()

    def allocate(self, requested: int, stream: int, event: int) -> Chunk | None:
        """Serve `requested` bytes (> 0) from a free chunk, or from a new region; None: neither can be had (`AllocateRawInternal`)."""
        size = round_up(requested, MIN_ALLOCATION_SIZE)
        chunk = self._find(size, stream)
        if chunk is None and self._extend(size, event):
            chunk = self._find(size, stream)
        return chunk

    def reserve(self, requested: int, stream: int, event: int) -> Chunk | None:
        """Take exactly `requested` bytes from the device, outside of the regions (`Reserve`); None: out of memory."""
        address = self._device.malloc(requested)
        if address is None:
            return None
        self.reserved += requested
        self._history.open(Segment(address, requested, stream, is_small=False, born=event, died=None))
        chunk = Chunk(address, requested, stream, None)
        chunk.in_use = True
        return chunk

    def free(self, block: Chunk) -> None:
        """Take a chunk of a region back (`DeallocateRawInternal`); reserved memory goes back by `release`."""
        block.in_use = False
        self._add(self._coalesce(block))

    def release(self, block: Chunk, event: int) -> None:
        """Give reserved memory back to the device."""
        self._device.free(block.address)
        self._history.close(block.address, event)
        self.reserved -= block.size

    def empty_cache(self, event: int) -> None:
        """See `shrink`."""
        self.shrink(event)

    def shrink(self, event: int) -> None:
        """Give back regions of which nothing is in use, but not the first of a growing arena, and begin to grow anew (`Shrink`)."""
        keeps_first = self._config.arena_extend_strategy == "kNextPowerOfTwo"
        for region in list(self._regions):
            if not (keeps_first and region.number == 0) and not any(chunk.in_use for chunk in _chunks(region)):
                self._give_back(region, event)
        self._growth = self._config.initial_growth_chunk_size_bytes

    def end_run(self) -> None:
        """Let what a stream has used be used by all, and join what lies side by side (`ResetChunkOnTargetStream`)."""
        for region in self._regions:
            for chunk in _chunks(region):
                chunk.stream = NO_STREAM
        for region in self._regions:
            for chunk in _chunks(region):
                following = chunk.following
                while not chunk.in_use and following is not None and not following.in_use:
                    self._remove(chunk)
                    self._merge(chunk, following)
                    self._add(chunk)
                    following = chunk.following

    def segments(self) -> tuple[Segment, ...]:
        """Return regions and reserved memory in the order in which they were taken."""
        return self._history.segments()

    def _find(self, size: int, stream: int) -> Chunk | None:
        for index in range(bisect_left(self._free, (size,)), len(self._free)):
            chunk = self._free[index][2]
            if chunk.stream in (stream, NO_STREAM):
                del self._free[index]
                return self._hand_out(chunk, size, stream)
        return None

    def _hand_out(self, chunk: Chunk, size: int, stream: int) -> Chunk:
        if chunk.size >= 2 * size or chunk.size - size >= self._config.max_dead_bytes_per_chunk:
            rest = Chunk(chunk.address + size, chunk.size - size, chunk.stream, chunk.region)
            rest.previous, rest.following = chunk, chunk.following
            if chunk.following is not None:
                chunk.following.previous = rest
            chunk.following, chunk.size = rest, size
            self._add(rest)
        chunk.in_use = True
        if chunk.stream == NO_STREAM:
            chunk.stream = stream
        return chunk

    def _extend(self, size: int, event: int) -> bool:
        available = (self._config.max_mem - self.reserved) % 2**64 // MIN_ALLOCATION_SIZE * MIN_ALLOCATION_SIZE
        if size > available:
            return False
        wanted = size if self._config.arena_extend_strategy == "kSameAsRequested" else min(self._next_region(size), available)
        address = self._device.malloc(wanted)
        while address is None:
            wanted = round_up(int(np.float32(wanted) * _BACKPEDAL_FACTOR), MIN_ALLOCATION_SIZE)
            if wanted < size or wanted < _SMALLEST_ATTEMPT:
                return False
            address = self._device.malloc(wanted)
        self._open(address, wanted, event)
        return True

    def _next_region(self, size: int) -> int:
        """Return how large the next region shall be, and settle what comes after it."""
        doubled = False
        while size > self._growth:
            self._growth *= 2
            doubled = True
        region = self._growth
        if not doubled:
            self._growth = min(self._growth * 2, self._config.max_power_of_two_extend_bytes)
        return region

    def _open(self, address: int, size: int, event: int) -> None:
        region = Region(len(self._regions), None, address, size)
        region.first = chunk = Chunk(address, size, NO_STREAM, region)
        self._regions.append(region)
        self._add(chunk)
        self.extensions.append(size)
        self.reserved += size
        self._history.open(Segment(address, size, NO_STREAM, is_small=False, born=event, died=None))

    def _give_back(self, region: Region, event: int) -> None:
        for chunk in _chunks(region):
            self._remove(chunk)
        self._regions.remove(region)
        self._device.free(region.address)
        self._history.close(region.address, event)
        self.reserved -= region.size

    def _coalesce(self, chunk: Chunk) -> Chunk:
        following, previous = chunk.following, chunk.previous
        if following is not None and not following.in_use and following.stream == chunk.stream:
            self._merge(chunk, following)
        if previous is not None and not previous.in_use and previous.stream == chunk.stream:
            self._remove(previous)
            self._merge(previous, chunk, is_listed=False)
            return previous
        return chunk

    def _merge(self, chunk: Chunk, following: Chunk, *, is_listed: bool = True) -> None:
        """Join two neighbours, the second of which may be listed as free."""
        if is_listed:
            self._remove(following)
        chunk.size += following.size
        chunk.following = following.following
        if chunk.following is not None:
            chunk.following.previous = chunk

    def _add(self, chunk: Chunk) -> None:
        insort(self._free, (chunk.size, chunk.address, chunk))

    def _remove(self, chunk: Chunk) -> None:
        del self._free[bisect_left(self._free, (chunk.size, chunk.address))]


def bin_number(size: int) -> int:
    """Return the bin of a size, as ONNX Runtime logs it (`BinNumForSize`)."""
    return int(min(NUM_BINS - 1, (max(size, MIN_ALLOCATION_SIZE) // MIN_ALLOCATION_SIZE).bit_length() - 1))


def _chunks(region: Region) -> list[Chunk]:
    """Return the chunks of a region by address."""
    chunks, chunk = [], region.first
    while chunk is not None:
        chunks.append(chunk)
        chunk = chunk.following
    return chunks
