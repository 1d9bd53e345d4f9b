"""The caching allocator once more, as plainly as possible: one list of segments, each a list of blocks, searched from end to end.

Written from torch's rules and not from `vramcast.allocator`, to be compared with it. Nothing here is fast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from vramcast.allocator.config import AllocatorConfig
from vramcast.units import MIB

USED, FREE, UNMAPPED = "used", "free", "unmapped"


@dataclass(eq=False)
class Piece:
    """A block: where in its segment, how large, and in what state."""

    start: int
    size: int
    state: str
    cached_at: int = 0


@dataclass(eq=False)
class Range:
    """A segment and the blocks that tile it, in order."""

    stream: int
    small: bool
    size: int
    pieces: list[Piece] = field(default_factory=list)

    @property
    def start(self) -> int:
        return self.pieces[0].start


class ReferenceAllocator:
    """What `CachingAllocator` must agree with, for both kinds of segments."""

    def __init__(self, config: AllocatorConfig, limit: int | None, device_memory: int | None) -> None:
        self.config = config
        self.limit = math.inf if limit is None else limit
        limited = config.per_process_memory_fraction < 1 and device_memory is not None
        self.allowed = int(config.per_process_memory_fraction * device_memory) if limited else math.inf
        self.collects = limited and config.garbage_collection_threshold > 0
        self.ranges: list[Range] = []
        self.large_searches = 0
        self.num_alloc_retries = 0
        self.address_ranges = 0

    @property
    def reserved(self) -> int:
        return sum(piece.size for segment in self.ranges for piece in segment.pieces if piece.state != UNMAPPED)

    @property
    def allocated(self) -> int:
        return sum(piece.size for segment in self.ranges for piece in segment.pieces if piece.state == USED)

    def allocate(self, requested: int, stream: int) -> Piece | None:
        size = self.rounded(requested)
        small = size <= MIB
        self.large_searches += not small
        found = self.search(size, stream, small)
        if found is None:
            self.collect_garbage()
            found = self.grow(size, stream, small)
        if found is None and self.release_oversize(size, stream, small):
            found = self.grow(size, stream, small)
        if found is None:
            self.release_all()
            self.num_alloc_retries += 1
            found = self.grow(size, stream, small)
        return None if found is None else self.use(*found, size)

    def rounded(self, requested: int) -> int:
        if requested < 512:
            return 512
        power = 2 ** math.floor(math.log2(requested))
        divisions = self.config.roundup_power2_divisions[max(0, min(15, int(math.log2(power)) - 20))]
        if divisions > 1 and requested > 512 * divisions:
            return next(power + i * power // divisions for i in range(divisions + 1) if power + i * power // divisions >= requested)
        return math.ceil(requested / 512) * 512

    def free_pieces(self, stream: int, small: bool) -> list[tuple[Range, Piece]]:
        found = [
            (segment, piece)
            for segment in self.ranges
            if (segment.stream, segment.small) == (stream, small)
            for piece in segment.pieces
            if piece.state == FREE
        ]
        return sorted(found, key=lambda pair: (pair[1].size, pair[1].start))

    def search(self, size: int, stream: int, small: bool) -> tuple[Range, Piece] | None:
        candidates = [pair for pair in self.free_pieces(stream, small) if pair[1].size >= size]
        if not candidates:
            return None
        best = 0
        if self.config.expandable_segments:
            while best + 1 < len(candidates) and room(*candidates[best + 1]) < room(*candidates[best]):
                best += 1
        found = candidates[best][1].size
        limit = self.config.max_split_size
        if size < limit <= found or (size >= limit and found >= size + self.config.max_non_split_rounding_size):
            return None
        return candidates[best]

    def use(self, segment: Range, piece: Piece, size: int) -> Piece:
        rest = piece.size - size
        if segment.small or self.config.expandable_segments:
            split = rest >= 512
        else:
            split = size < self.config.max_split_size and rest > MIB
        if split:
            piece.size = size
            segment.pieces.insert(segment.pieces.index(piece) + 1, Piece(piece.start + size, rest, FREE, self.large_searches))
        piece.state = USED
        return piece

    def free(self, piece: Piece) -> None:
        piece.state, piece.cached_at = FREE, self.large_searches
        segment = next(segment for segment in self.ranges if piece in segment.pieces)
        self.join(segment)

    def join(self, segment: Range) -> None:
        joined: list[Piece] = []
        for piece in segment.pieces:
            if joined and piece.state == joined[-1].state != USED:
                joined[-1].size += piece.size
                joined[-1].cached_at = max(joined[-1].cached_at, piece.cached_at)
            else:
                joined.append(piece)
        segment.pieces = joined

    def grow(self, size: int, stream: int, small: bool) -> tuple[Range, Piece] | None:
        if small:
            segment_size = 2 * MIB
        elif size < 10 * MIB:
            segment_size = self.config.large_segment_size
        else:
            segment_size = math.ceil(size / (2 * MIB)) * 2 * MIB
        if self.reserved + segment_size > self.allowed:
            return None
        if self.config.expandable_segments:
            return self.grow_by_pages(size, stream, small)
        if self.reserved + segment_size > self.limit:
            return None
        piece = Piece(self.lowest_gap(segment_size), segment_size, FREE)
        segment = Range(stream, small, segment_size, [piece])
        self.ranges.append(segment)
        return segment, piece

    def lowest_gap(self, size: int) -> int:
        start = 2 * MIB
        for segment in sorted(self.ranges, key=lambda segment: segment.start):
            if segment.start - start >= size:
                return start
            start = segment.start + segment.size
        return start

    def grow_by_pages(self, size: int, stream: int, small: bool) -> tuple[Range, Piece] | None:
        page = 2 * MIB if small else self.config.large_segment_size
        segment, first = self.find_room(size, stream, small, page)
        held = first.size if first.state == FREE else 0
        position = first.start
        while held < size:
            following = next(piece for piece in segment.pieces if piece.state == UNMAPPED and piece.start == position + held)
            length = math.ceil(min(size - held, following.size) / page) * page
            if self.reserved + length > self.limit:
                return None
            index = segment.pieces.index(following)
            segment.pieces[index : index + 1] = [
                Piece(following.start, length, FREE),
                *([Piece(following.start + length, following.size - length, UNMAPPED)] if following.size > length else []),
            ]
            self.join(segment)
            held = next(piece.size for piece in segment.pieces if piece.start == position)
        return segment, next(piece for piece in segment.pieces if piece.start == position)

    def find_room(self, size: int, stream: int, small: bool, page: int) -> tuple[Range, Piece]:
        for segment in self.ranges:
            if (segment.stream, segment.small) != (stream, small):
                continue
            for index, piece in enumerate(segment.pieces):
                if piece.state != UNMAPPED:
                    continue
                first = index - 1 if index and segment.pieces[index - 1].state == FREE else index
                room = 0
                for candidate in segment.pieces[first:]:
                    if candidate.state == USED:
                        break
                    room += candidate.size
                if room >= size:
                    return segment, segment.pieces[first]
        self.address_ranges += 1
        space = 2**40 // page * page
        segment = Range(stream, small, space, [Piece(self.address_ranges * 2**50, space, UNMAPPED)])
        self.ranges.append(segment)
        return segment, segment.pieces[0]

    def collect_garbage(self) -> None:
        if not self.collects or self.config.expandable_segments:
            return
        goal = int(self.config.garbage_collection_threshold * self.allowed)
        while self.reserved > goal:
            whole = [segment for segment in self.ranges if not segment.small and len(segment.pieces) == 1 and segment.pieces[0].state == FREE]
            if not whole:
                return
            ages = [self.large_searches - segment.pieces[0].cached_at for segment in whole]
            for segment, age in zip(whole, ages):
                if age >= sum(ages) / len(ages):
                    self.ranges.remove(segment)

    def release_oversize(self, size: int, stream: int, small: bool) -> bool:
        limit = self.config.max_split_size
        if self.config.expandable_segments or limit == AllocatorConfig().max_split_size:
            return False
        wanted = max(size, limit)
        free = self.free_pieces(stream, small)
        large_enough = [segment for segment, piece in free if piece.size >= wanted]
        if large_enough:
            self.ranges.remove(large_enough[0])
            return True
        for segment, piece in reversed(free):
            if wanted > 0 and piece.size >= limit:
                self.ranges.remove(segment)
                wanted -= piece.size
        return wanted <= 0

    def release_all(self) -> None:
        if not self.config.expandable_segments:
            self.ranges = [segment for segment in self.ranges if len(segment.pieces) > 1 or segment.pieces[0].state != FREE]
            return
        for segment in self.ranges:
            page = 2 * MIB if segment.small else self.config.large_segment_size
            segment.pieces = [part for piece in segment.pieces for part in without_pages(piece, page, segment.start)]
            self.join(segment)
        self.ranges = [segment for segment in self.ranges if len(segment.pieces) > 1]


def room(segment: Range, piece: Piece) -> int:
    """How large a free block can become: itself and the unmapped stretch after it."""
    index = segment.pieces.index(piece) + 1
    grows = index < len(segment.pieces) and segment.pieces[index].state == UNMAPPED
    return piece.size + (segment.pieces[index].size if grows else 0)


def without_pages(piece: Piece, page: int, origin: int) -> list[Piece]:
    """Cut the whole pages out of a free block."""
    first = origin + math.ceil((piece.start - origin) / page) * page
    last = origin + (piece.start + piece.size - origin) // page * page
    if piece.state != FREE or first >= last:
        return [piece]
    parts = [
        Piece(piece.start, first - piece.start, FREE),
        Piece(first, last - first, UNMAPPED),
        Piece(last, piece.start + piece.size - last, FREE),
    ]
    return [part for part in parts if part.size > 0]
