"""A forecast as a PyTorch memory snapshot: plain dictionaries and lists, no torch needed."""

from __future__ import annotations

import os
import pickle
from typing import Any

import msgspec

from vramcast.atomic_file import write_atomically
from vramcast.snapshot.events import write_events
from vramcast.snapshot.segments import write_segments
from vramcast.snapshot.stacks import TraceStacks
from vramcast.timeline import Timeline
from vramcast.trace import Trace
from vramcast.version import __version__

PICKLE_PROTOCOL = 4
"""The highest that the viewer's own unpickler reads: `torch/utils/viz/MemoryViz.js`, torch 2.13."""


def save_snapshot(trace: Trace, timeline: Timeline, path: str | os.PathLike[str]) -> None:
    """Write the forecast as a file for pytorch.org/memory_viz and `python -m torch.cuda._memory_viz`.

    Raises:
        OutputError: the path cannot be written; nothing half-written is left there.
    """
    snapshot = to_snapshot(trace, timeline)
    write_atomically(path, lambda file: pickle.dump(snapshot, file, protocol=PICKLE_PROTOCOL))


def to_snapshot(trace: Trace, timeline: Timeline) -> dict[str, Any]:
    """Return the forecast as `torch.cuda.memory._snapshot()` would return it at the end of the run.

    `time_us` counts events, as a forecast has no clock. Every block has its component as `category`. The key `vramcast` holds
    the subject and the caveats; torch's tools pass over it.

    Known limits: a block waiting for another stream is shown as freed when the free is asked for; what CUDA still had
    free when the memory ran out is unknown and written as 0, because the viewers need a number there.
    """
    stacks = TraceStacks(trace)
    return {
        "segments": list(write_segments(trace, timeline, stacks)),
        "device_traces": [list(write_events(trace, timeline, stacks))],
        "allocator_settings": {"expandable_segments": any(segment.is_expandable for segment in timeline.segments)},
        "external_annotations": [],
        "vramcast": {"version": __version__, "subject": msgspec.to_builtins(trace.subject), "caveats": msgspec.to_builtins(list(trace.caveats))},
    }
