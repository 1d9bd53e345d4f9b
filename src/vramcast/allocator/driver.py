"""A simulated CUDA driver: hands out device memory up to a limit, at deterministic addresses.

`cudaMalloc` and `cuMemCreate` work in units of 2 MiB (`cuMemGetAllocationGranularity` on NVIDIA cards; torch's Note
"Expandable Segments" in `c10/cuda/CUDACachingAllocator.cpp` says the same of GPU pages). Real addresses are not
predictable; they decide only which of several equally large free blocks is used.
"""

from __future__ import annotations

from bisect import insort

from vramcast.units import MIB, round_up

PAGE_SIZE = 2 * MIB
_ADDRESSABLE = 2**61
"""Even without a limit there is an end, so that byte counts and addresses fit into 64-bit columns."""


class Driver:
    """Device memory of which at most `limit` bytes (None: any number) can be had."""

    def __init__(self, limit: int | None) -> None:
        self._available = _ADDRESSABLE if limit is None else min(limit, _ADDRESSABLE)
        self._sizes: dict[int, int] = {}
        self._holes: list[tuple[int, int]] = []
        """Start and end of the freed ranges, by address; neighbours are joined."""
        self._end = PAGE_SIZE
        self._released_addresses: dict[tuple[int, int], list[int]] = {}

    def malloc(self, size: int) -> int | None:
        """Return the address of `size` new bytes (`cudaMalloc`), in the lowest gap that is large enough; None: out of memory."""
        size = round_up(size, PAGE_SIZE)
        if not self.create(size):
            return None
        address = self._take_hole(size)
        if address is None:
            address, self._end = self._end, self._end + size
        self._sizes[address] = size
        return address

    def free(self, address: int) -> None:
        """Give back what `malloc` returned (`cudaFree`)."""
        size = self._sizes.pop(address)
        self.release(size)
        insort(self._holes, (address, address + size))
        self._join_holes()

    def reserve_addresses(self, size: int, alignment: int) -> int:
        """Return the start of an unused address range without memory (`cuMemAddressReserve`)."""
        released = self._released_addresses.get((size, alignment))
        if released:
            return released.pop()
        address = round_up(self._end, alignment)
        self._end = address + size
        return address

    def release_addresses(self, address: int, size: int, alignment: int) -> None:
        """Give back what `reserve_addresses` returned for `size` and `alignment` (`cuMemAddressFree`)."""
        self._released_addresses.setdefault((size, alignment), []).append(address)

    def create(self, size: int) -> bool:
        """Take `size` bytes of memory without an address (`cuMemCreate`); False: out of memory, nothing is taken."""
        if size > self._available:
            return False
        self._available -= size
        return True

    def release(self, size: int) -> None:
        """Give back what `create` took (`cuMemRelease`)."""
        self._available += size

    def _take_hole(self, size: int) -> int | None:
        for index, (start, end) in enumerate(self._holes):
            if end - start >= size:
                self._holes[index : index + 1] = [(start + size, end)] if end - start > size else []
                return start
        return None

    def _join_holes(self) -> None:
        joined: list[tuple[int, int]] = []
        for start, end in self._holes:
            if joined and joined[-1][1] == start:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((start, end))
        if joined and joined[-1][1] == self._end:
            self._end = joined.pop()[0]
        self._holes = joined
