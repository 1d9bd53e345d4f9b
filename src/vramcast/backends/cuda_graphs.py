"""CUDA graphs: what is captured is allocated from a pool of its own, which keeps what it once had.

A private pool is a set of block pools beside the default ones (`get_pool`, c10/cuda/CUDACachingAllocator.cpp, torch 2.13); blocks freed in it
serve later requests of the same pool alone. Pools being kept by stream, a stream number of its own says the same.

- A step that the program captures: `torch.cuda.graphs` asks for a warm-up on a side stream, whose blocks stay in that stream's pools, as far as
  `torch.cuda.graph` does not give them back: it empties the cache before it captures (torch/cuda/graphs.py, 2.13). Gradients and everything
  between are then born in the private pool. Under a gradient scaler the optimizer step looks at values and stays outside of the graph
  ("Whole-network capture" and "Partial-network capture", CUDA semantics in torch's documentation).
- `mode="reduce-overhead"`: what is compiled runs in the pool of the graph trees from its first call, a warm-up, on (`CUDAWarmupNode`,
  torch/_inductor/cudagraph_trees.py, 2.13). The loss between the compiled parts counts as within.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vramcast.trace import Caveat, Column, Event, Trace
from vramcast.workload import Workload

WARM_UP_STREAM, POOL = 1, 2
"""Stream numbers: of the warm-up, and of the private pool."""
_COMPILED = ("forward", "backward")
_CAPTURED = ("forward", "loss", "backward")
_SYNCHRONISING = frozenset(("aten::_local_scalar_dense", "aten::nonzero", "torchvision::nms", "aten::_unique2", "aten::masked_select"))
_EXECUTABLE = Caveat("What the driver keeps for each captured graph, some tens of KiB a kernel, is outside of torch and was not modelled.")


def uses_graphs(workload: Workload) -> bool:
    """Tell whether anything is captured."""
    return workload.cuda_graphs or workload.compile_mode == "reduce-overhead"


def with_private_pools(trace: Trace, workload: Workload) -> Trace:
    """Return the trace, with the scratch of its kernels, with each block in the pool that serves it."""
    if not uses_graphs(workload) or trace.streams.any():
        return trace
    streams = _streams(trace, workload)
    changed = _with_streams(trace, streams).with_caveats(_EXECUTABLE)
    captured = np.isin(trace.operation_phases, np.flatnonzero(_phases(trace, _captured_names(workload), 0)))
    seen = {trace.operators[index] for index in np.unique(trace.operation_operators[captured])} & _SYNCHRONISING
    if seen:
        named = ", ".join(sorted(seen))
        changed = changed.with_caveats(
            Caveat(f"A CUDA graph cannot wait for values on the card, as the captured part does in {named}: leave that part out.")
        )
    return _emptied_before_capture(changed) if workload.cuda_graphs else changed


def _captured_names(workload: Workload) -> tuple[str, ...]:
    if not workload.cuda_graphs:
        return _COMPILED
    return _CAPTURED if workload.precision == "amp-fp16" or not workload.is_training else (*_CAPTURED, "optimizer")


def _streams(trace: Trace, workload: Workload) -> Column:
    """Return, per block, the stream whose pools serve it."""
    born = trace.operation_phases[trace.operations[trace.allocated_at]]
    names = _captured_names(workload)
    if not workload.cuda_graphs:
        return np.where(_phases(trace, names, 0)[born], POOL, 0)
    warming, capturing = _phases(trace, names, 0, last=0), _phases(trace, names, 1)
    return np.where(warming[born], WARM_UP_STREAM, np.where(capturing[born], POOL, 0))


def _phases(trace: Trace, names: tuple[str, ...], first: int, last: int | None = None) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Tell, per phase, whether it has one of the names and belongs to one of the steps."""
    return np.array([phase.name in names and phase.step >= first and (last is None or phase.step <= last) for phase in trace.phases], bool)


def _with_streams(trace: Trace, streams: Column) -> Trace:
    return replace(trace, streams=streams.astype(np.int64))


def _emptied_before_capture(trace: Trace) -> Trace:
    """Empty the cache where the capture begins: at the first event of the second step's forward."""
    phases = trace.event_phases()
    starts = np.flatnonzero(_phases(trace, ("forward",), 1)[phases]) if len(phases) else phases
    if not len(starts):
        return trace
    place = int(starts[0])
    return replace(
        trace,
        kinds=np.insert(trace.kinds, place, int(Event.EMPTY_CACHE)),
        blocks=np.insert(trace.blocks, place, -1),
        operations=np.insert(trace.operations, place, trace.operations[place]),
    )
