"""Sizes fixed in torch's CUDA caching allocator, as read in `c10/core/AllocatorConfig.h` shipped with torch 2.13."""

from __future__ import annotations

from vramcast.units import MIB

MIN_BLOCK_SIZE = 512
"""`kMinBlockSize`: every block is a multiple of this."""
SMALL_SIZE = MIB
"""`kSmallSize`: rounded requests up to this are served from the small pool."""
SMALL_SEGMENT_SIZE = 2 * MIB
"""`kSmallBuffer`: what the small pool takes from the driver at a time."""
MIN_LARGE_ALLOCATION = 10 * MIB
"""`kMinLargeAlloc`: large requests below this get a segment of `large_segment_size`."""
LARGE_SEGMENT_SIZE = 20 * MIB
"""Default of `large_segment_size_mb` (the constant `kLargeBuffer` before the option existed)."""
LARGE_ROUNDING = 2 * MIB
"""`kRoundLarge`: segments for requests from `MIN_LARGE_ALLOCATION` on are multiples of this."""
UNLIMITED = 2**63 - 1
"""Stands for `std::numeric_limits<size_t>::max()`: no block is that large."""
ROUNDUP_INTERVALS = 16
"""`kRoundUpPowerOfTwoIntervals` (`c10/core/AllocatorConfig.cpp`): powers of two from 1 MiB to 64 GiB, the last one excluded."""
FIRST_INTERVAL_LOG2 = 20
"""log2 of `kRoundUpPowerOfTwoStart`, 1 MiB (same file)."""
