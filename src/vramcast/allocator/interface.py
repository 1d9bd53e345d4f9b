"""What an allocator is: anything that serves a trace's requests from device memory, with or without torch's rules.

`CachingAllocator` is one; an arena of another runtime is another. An event is the index of the current event of the
trace: allocators need it only to say when memory was taken from the driver and given back.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from vramcast.timeline import Segment


class ServedBlock(Protocol):
    """The memory that serves one request."""

    @property
    def address(self) -> int:
        """Where it lies."""

    @property
    def size(self) -> int:
        """Bytes that count as allocated, rounding and unsplit slack included."""


BlockT = TypeVar("BlockT", bound=ServedBlock)


class Allocator(Protocol[BlockT]):
    """Serves requests from memory it holds, and takes more from the driver when it must."""

    @property
    def reserved(self) -> int:
        """Bytes of the segments held now."""

    @property
    def num_alloc_retries(self) -> int:
        """How often cached segments had to be given back before a request was tried again."""

    def allocate(self, requested: int, stream: int, event: int) -> BlockT | None:
        """Serve `requested` bytes (> 0); None: out of memory, after everything that could be given back was."""

    def free(self, block: BlockT) -> None:
        """Take a block back, for further requests."""

    def empty_cache(self, event: int) -> None:
        """Give back to the driver what is held and not in use, as far as that is possible."""

    def segments(self) -> tuple[Segment, ...]:
        """Return every segment taken from the driver so far, in that order."""
