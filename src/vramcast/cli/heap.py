"""Memory that values no longer need goes back to the system at once, so that a forecast holds no more than it has to."""

from __future__ import annotations

import contextlib
import ctypes

LARGEST_KEPT = 2**23
"""Bytes up to which freed blocks are kept for later ones. glibc by itself raises this to 32 MiB as larger blocks are freed (mallopt(3))."""
_M_MMAP_THRESHOLD = -3  # malloc.h, glibc 2.x


def give_back_large_blocks() -> None:
    """Set glibc's threshold for the whole process; where there is another C library, nothing happens."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
