"""A snapshot taken on a real GPU, or written by vramcast, as a `Trace`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vramcast.errors import InvalidFileError
from vramcast.snapshot.assemble import TraceAssembler
from vramcast.snapshot.frames import RECORDED, Frame, Site, is_empty_cache, read_forecast_stack, read_real_stack
from vramcast.snapshot.marks import Marks, are_marked
from vramcast.snapshot.plain_pickle import load_plain_pickle
from vramcast.snapshot.recording import Recording, read_recording
from vramcast.snapshot.schema import Origin, Snapshot, checked, component_of, read_frames
from vramcast.trace import Caveat, Component, Phase, Subject, Trace
from vramcast.units import format_bytes

BEFORE_RECORDING = Phase("before recording", -1)
"""Phase of the blocks that were there when recording began."""


def load_snapshot(path: str | os.PathLike[str], device: int | None = None) -> Trace:
    """Read a snapshot written by `torch.cuda.memory._dump_snapshot` or by `save_snapshot`. Nothing in it is executed.

    Sizes are the requested bytes. A block is freed when torch can reuse it (`free_completed`). Segments given back are an
    `EMPTY_CACHE` where `torch.cuda.empty_cache()` did it; those that an allocation gave back before it tried again are the
    replay's business. Blocks that were there before recording began come first, by address, as their true order is
    unknown. A component is known only where the file has a `category`. `device`: by default the one with most events.

    Known limits: an empty_cache() that gave nothing back leaves no trace; private pools (CUDA graphs) become ordinary memory.

    Raises:
        InvalidFileError: not a snapshot, or a damaged or hostile one; the message says what was found.
        UnknownNameError: the snapshot has no such device.
    """
    try:
        return read_snapshot(load_plain_pickle(path), Subject(Path(path).stem, "snapshot", parameters=0, trainable_parameters=0), device)
    except InvalidFileError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a memory snapshot: {error}") from error


def load_peak_reserved(path: str | os.PathLike[str], device: int | None = None) -> int:
    """Return the most bytes of segments that a snapshot's file records; read, and refused, as by `load_snapshot`."""
    try:
        return read_peak_reserved(load_plain_pickle(path), device)
    except InvalidFileError as error:
        raise InvalidFileError(f"{str(path)!r} cannot be read as a memory snapshot: {error}") from error


def read_snapshot(raw: object, subject: Subject, device: int | None = None, *, may_have_retried: bool = True) -> Trace:
    """Return the trace of a snapshot as `torch.cuda.memory._snapshot()` returns it; `subject` where it names none itself.

    `may_have_retried`: whether an allocation may have given segments back and tried again (torch counts that: `num_alloc_retries`). Where none
    has, every segment given back is an `EMPTY_CACHE`: cuDNN's search empties the cache too, and no Python stack says so.

    Raises:
        InvalidFileError: not a snapshot; the message says what was found.
        UnknownNameError: the snapshot has no such device.
    """
    snapshot = checked(raw, Snapshot, "the snapshot")
    return _to_trace(snapshot, read_recording(snapshot, device), snapshot.vramcast or Origin(subject), may_have_retried)


def read_peak_reserved(raw: object, device: int | None = None) -> int:
    """Return the most bytes of segments held at any recorded moment: torch's own figure, nothing replayed.

    Raises as `read_snapshot`.
    """
    return read_recording(checked(raw, Snapshot, "the snapshot"), device).peak_reserved()


def _to_trace(snapshot: Snapshot, recording: Recording, origin: Origin, may_have_retried: bool) -> Trace:
    stacks = _Stacks(read_real_stack if snapshot.vramcast is None else read_forecast_stack)
    assembler = TraceAssembler()
    earlier = recording.earlier_blocks()
    for block in earlier:
        site = stacks.read(block.frames).site._replace(phase=BEFORE_RECORDING)
        assembler.allocate(block.address, block.size, Component.OTHER, block.stream, site)
    _replay(recording, stacks, assembler, may_have_retried)
    trace = assembler.finish(origin.subject, origin.caveats)
    return trace.with_caveats(*_caveats(snapshot, recording, len(earlier), assembler.unmatched))


def _replay(recording: Recording, stacks: _Stacks, assembler: TraceAssembler, may_have_retried: bool) -> None:
    """Feed the recorded events to the assembler."""
    freed = recording.freeing_action
    releases = {first: retries and may_have_retried for first, retries in recording.releases()}
    marks = Marks(RECORDED) if are_marked(entry.user_metadata for entry in recording.entries) else None
    for i, entry in enumerate(recording.entries):
        site = stacks.read(entry.frames).site
        if marks is not None:
            site = marks.place(site, entry.user_metadata)
        if entry.action == "alloc":
            if entry.size == 0:
                raise InvalidFileError(f"event {i} allocates no bytes.")
            assembler.allocate(entry.addr, entry.size, component_of(entry.category), entry.stream, site)
        elif entry.action == freed:
            assembler.free(entry.addr, site)
        elif i in releases and (not releases[i] or stacks.read(entry.frames).empties_cache):
            assembler.empty_cache(site)


class _Stack(NamedTuple):
    """What one stack says. `raw` is kept so that its `id` stays its own."""

    raw: object
    site: Site
    empties_cache: bool


class _Stacks:
    """Reads each stack once, however many events share it."""

    def __init__(self, read_site: Callable[[Sequence[Frame]], Site]) -> None:
        self._read_site = read_site
        self._known: dict[int, _Stack] = {}

    def read(self, raw: object) -> _Stack:
        """Return what the stack says."""
        stack = self._known.get(id(raw))
        if stack is None:
            frames = read_frames(raw)
            stack = self._known[id(raw)] = _Stack(raw, self._read_site(frames), is_empty_cache(frames))
        return stack


def _caveats(snapshot: Snapshot, recording: Recording, earlier: int, unmatched: int) -> Iterator[Caveat]:
    if earlier:
        yield Caveat(f"{earlier} blocks were there before recording began; they are put first, in the order of their addresses.")
    if unmatched:
        yield Caveat(f"{unmatched} frees do not match the allocations recorded.")
    if recording.has_private_pools:
        yield Caveat("Memory of private pools (CUDA graphs) is taken as ordinary memory.")
    used = [str(i) for i, trace in enumerate(snapshot.device_traces) if trace]
    if len(used) > 1:
        yield Caveat(f"The snapshot has events of devices {', '.join(used)}; device {recording.device} was read.")
    failures = [entry for entry in recording.entries if entry.action == "oom"]
    if failures:
        requested, free = format_bytes(failures[0].size), format_bytes(failures[0].device_free)
        yield Caveat(f"The recorded run ran out of memory {len(failures)} times, first when {requested} were requested with {free} free.")
