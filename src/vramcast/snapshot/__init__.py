"""PyTorch's memory snapshots: a forecast written as one, and a real one read as a `Trace`.

A snapshot is the pickle of the dictionary that `torch.cuda.memory._snapshot()` returns and `_dump_snapshot()` writes;
pytorch.org/memory_viz and `torch.cuda._memory_viz` read it. Its parts, as of torch 2.13 (`torch/cuda/memory.py`,
`torch/cuda/_memory_viz.py`; what writes it: `torch/csrc/cuda/Module.cpp`, `c10/cuda/CUDACachingAllocator.cpp`):

    segments            the allocator's state when the snapshot was taken, by address
      device, address, total_size, stream, segment_type ("small", "large"), segment_pool_id, is_expandable, frames,
      allocated_size, active_size (bytes of blocks), requested_size (bytes asked for), blocks
        address, size, requested_size, state ("active_allocated", "active_pending_free", "inactive"), frames
    device_traces       per device, what happened since recording began, in order
      action, addr, size, stream, time_us, frames, pool_id, user_metadata (`marks.py`); device_free in place of addr for "oom"
    allocator_settings  options of PYTORCH_CUDA_ALLOC_CONF
    external_annotations

What `size` means depends on the action (`record_trace` calls in CUDACachingAllocator.cpp):

    alloc, free_requested, free_completed     the bytes asked for, NOT rounded (`orig_size`, `block->requested_size`)
    segment_alloc, segment_free               the segment's bytes
    segment_map, segment_unmap                the bytes mapped or unmapped, with expandable segments
    oom                                       the request, rounded; `device_free` is what cudaMemGetInfo said

`state` is what the C++ code writes; the docstring in `torch/cuda/memory.py` calls the second one "active_awaiting_free".
Frames are dictionaries `filename`, `line`, `name`, innermost first. A free and its completion are adjacent unless the
block was used on another stream (`record_stream`).
"""

from vramcast.snapshot.read import load_peak_reserved, load_snapshot, read_peak_reserved, read_snapshot
from vramcast.snapshot.write import save_snapshot, to_snapshot

__all__ = ["load_peak_reserved", "load_snapshot", "read_peak_reserved", "read_snapshot", "save_snapshot", "to_snapshot"]
