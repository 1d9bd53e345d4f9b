"""The options of torch's native CUDA caching allocator, and the sizes that follow from them.

Rules: `round_size`, `get_allocation_size` and `setMemoryFraction` in `c10/cuda/CUDACachingAllocator.cpp`, torch 2.13.
"""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.allocator.constants import (
    FIRST_INTERVAL_LOG2,
    LARGE_ROUNDING,
    LARGE_SEGMENT_SIZE,
    MIN_BLOCK_SIZE,
    MIN_LARGE_ALLOCATION,
    ROUNDUP_INTERVALS,
    SMALL_SEGMENT_SIZE,
    SMALL_SIZE,
    UNLIMITED,
)
from vramcast.allocator.options import parse_options
from vramcast.units import round_up


@dataclass(frozen=True, slots=True)
class AllocatorConfig:
    """Options of the native allocator; the defaults are torch 2.13's. Sizes in bytes."""

    expandable_segments: bool = False
    max_split_size: int = UNLIMITED
    """Blocks from this size on are never split and serve only requests from this size on."""
    max_non_split_rounding_size: int = LARGE_SEGMENT_SIZE
    """How much larger than the request such a block may be."""
    large_segment_size: int = LARGE_SEGMENT_SIZE
    roundup_power2_divisions: tuple[int, ...] = (0,) * ROUNDUP_INTERVALS
    """Per power of two from 1 MiB on: into how many steps the way to the next one is divided; 0 or 1: multiples of 512."""
    garbage_collection_threshold: float = 0.0
    """Share of the allowed memory above which old cached segments are given back; acts only when the fraction is below 1."""
    per_process_memory_fraction: float = 1.0
    """Share of the device's memory that the process may reserve."""

    @classmethod
    def parse(cls, text: str) -> AllocatorConfig:
        """Read options in the syntax of `PYTORCH_CUDA_ALLOC_CONF`: `expandable_segments:True,max_split_size_mb:128`.

        Options that do not change what is reserved on the device (pinned host memory, locks) are accepted and have no effect.

        Raises:
            UnknownNameError: torch has no such option.
            WorkloadError: an illegal value, or a backend other than `native`.
        """
        return cls(**parse_options(text))

    def round_size(self, requested: int) -> int:
        """Return the bytes a request is rounded to: a multiple of 512, or a step on the way to the next power of two."""
        if requested < MIN_BLOCK_SIZE:
            return MIN_BLOCK_SIZE
        log2 = requested.bit_length() - 1
        divisions = self.roundup_power2_divisions[min(max(log2 - FIRST_INTERVAL_LOG2, 0), ROUNDUP_INTERVALS - 1)]
        if divisions > 1 and requested > MIN_BLOCK_SIZE * divisions:
            # The step is at least 512, since the divisions are a power of two below requested / 512.
            return round_up(requested, (1 << log2) // divisions)
        return round_up(requested, MIN_BLOCK_SIZE)

    def segment_size(self, size: int) -> int:
        """Return the bytes taken from the driver for a block of the rounded `size`."""
        if size <= SMALL_SIZE:
            return SMALL_SEGMENT_SIZE
        if size < MIN_LARGE_ALLOCATION:
            return self.large_segment_size
        return round_up(size, LARGE_ROUNDING)

    def allowed_bytes(self, device_memory: int | None) -> int:
        """Return what `per_process_memory_fraction` leaves of the device's memory.

        `UNLIMITED` at a fraction of 1, where torch leaves the limit to the driver, and when the device's memory is not known.
        """
        if self.per_process_memory_fraction >= 1 or device_memory is None:
            return UNLIMITED
        return int(self.per_process_memory_fraction * device_memory)
