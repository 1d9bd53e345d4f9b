"""One device's part of a snapshot: what happened, and what was in use when it was taken."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.snapshot.schema import Block, Entry, Segment, Snapshot, checked, checked_list

MOST_BLOCKS = 10**7
"""Blocks read from the segments; a hostile file can name one long list again and again."""

_RELEASES = frozenset({"segment_free", "segment_unmap"})
_NEW_MEMORY = frozenset({"segment_alloc", "segment_map", "oom"})
_SEGMENT_SIGNS = {"segment_alloc": 1, "segment_map": 1, "segment_free": -1, "segment_unmap": -1}
_IN_USE = frozenset({"active_allocated", "active_pending_free", "active_awaiting_free"})


@dataclass(frozen=True, slots=True)
class Held:
    """A block in use that no recorded allocation explains, or that the segments list."""

    address: int
    size: int
    """Requested bytes."""
    stream: int
    frames: object


@dataclass(frozen=True, slots=True)
class Recording:
    """See the module's docstring."""

    device: int
    entries: Sequence[Entry]
    held: Sequence[Held]
    """The blocks in use at the end."""
    has_private_pools: bool
    segment_bytes: int = 0
    """Bytes of the segments at the end."""

    @property
    def freeing_action(self) -> str:
        """The action after which torch can reuse a block: its completion, unless recording skipped that action."""
        completed = any(entry.action == "free_completed" for entry in self.entries)
        return "free_completed" if completed else "free_requested"

    def earlier_blocks(self) -> list[Held]:
        """List the blocks that were there when recording began: freed without being allocated, or still in use so."""
        freed = self.freeing_action
        live: set[int] = set()
        used: set[int] = set()
        earlier: dict[int, Held] = {}
        for entry in self.entries:
            if entry.action == "alloc":
                live.add(entry.addr)
            elif entry.action == freed:
                live.discard(entry.addr)
                if entry.addr not in used and entry.size > 0:
                    earlier[entry.addr] = Held(entry.addr, entry.size, entry.stream, entry.frames)
            else:
                continue
            used.add(entry.addr)
        for block in self.held:
            if block.address not in live:
                earlier.setdefault(block.address, block)
        return sorted(earlier.values(), key=lambda block: block.address)

    def peak_reserved(self) -> int:
        """Return the most bytes of segments held at once, from what was recorded of them and what was left at the end."""
        steps = [entry.size * _SEGMENT_SIGNS.get(entry.action, 0) for entry in self.entries]
        at_first = self.segment_bytes - sum(steps)
        return max(itertools.accumulate(steps, initial=at_first))

    def releases(self) -> Iterator[tuple[int, bool]]:
        """Yield, per run of segments given back, the index of its first event and whether new memory was asked for next.

        An allocation that finds no room gives cached segments back and then asks the driver again.
        """
        runs = itertools.groupby(range(len(self.entries)), key=lambda i: self.entries[i].action in _RELEASES)
        for is_release, run in runs:
            if is_release:
                indices = list(run)
                after = indices[-1] + 1
                yield indices[0], after < len(self.entries) and self.entries[after].action in _NEW_MEMORY


def read_recording(snapshot: Snapshot, device: int | None) -> Recording:
    """Read what the snapshot says of `device`; None: of the device with most events, then with most segments.

    Raises:
        InvalidFileError: a part is not as PyTorch writes it, or nothing was recorded at all.
        UnknownNameError: the snapshot has no such device.
    """
    traces = [checked_list(trace, f"the trace of device {i}") for i, trace in enumerate(snapshot.device_traces)]
    segments = [checked(segment, Segment, f"segment {i}") for i, segment in enumerate(snapshot.segments)]
    chosen = _choose_device([len(trace) for trace in traces], [segment.device for segment in segments], device)
    own = [segment for segment in segments if segment.device == chosen]
    entries = [checked(entry, Entry, f"event {i}") for i, entry in enumerate(traces[chosen])]
    held, size = _held(own)
    return Recording(chosen, entries, held, any(segment.segment_pool_id != (0, 0) for segment in own), size)


def _choose_device(events: Sequence[int], devices_of_segments: Sequence[int], asked: int | None) -> int:
    if asked is not None and not 0 <= asked < len(events):
        raise UnknownNameError("device of the snapshot", str(asked), map(str, range(len(events))))
    if not any(events) and not devices_of_segments:
        raise InvalidFileError("nothing was recorded. Call torch.cuda.memory._record_memory_history() before the run to be recorded.")
    if asked is not None:
        return asked
    segments = Counter(devices_of_segments)
    return max(range(len(events)), key=lambda i: (events[i], segments[i]))


def _held(segments: Sequence[Segment]) -> tuple[list[Held], int]:
    """Return the blocks in use, and the bytes of all segments, which are those of their blocks."""
    held: list[Held] = []
    count = total = 0
    for segment in segments:
        address = segment.address
        for raw in checked_list(segment.blocks, "the blocks of a segment"):
            block = checked(raw, Block, "a block")
            if block.state in _IN_USE:
                held.append(Held(address, block.requested_size or block.size, segment.stream, block.frames))
            # A block's address is in the file only since torch 2.1; its place in the list always says it.
            address += block.size
            total += block.size
            count += 1
            if count > MOST_BLOCKS:
                raise InvalidFileError(f"the segments list more than {MOST_BLOCKS:,} blocks.")
    return held, total
