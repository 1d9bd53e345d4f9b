"""Eager PyTorch as a backend: the program on meta tensors, torch's scratch rules, its caching allocator."""

from __future__ import annotations

from vramcast.allocator.config import AllocatorConfig
from vramcast.allocator.replay import replay
from vramcast.allocator.room import Room
from vramcast.backends.cuda_graphs import with_private_pools
from vramcast.backends.interface import Capability, Progress
from vramcast.collecting import not_collecting
from vramcast.gpu.context import ContextRange, context_bytes
from vramcast.gpu.spec import GpuSpec
from vramcast.sources.interface import Model
from vramcast.timeline import Timeline
from vramcast.trace import Component, Trace
from vramcast.workload import Workload
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import stack_of


class Eager:
    """See `Backend`."""

    def trace(self, model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
        """Return the trace, told from small batches where that is cheaper."""
        with not_collecting():  # torch, which a name that nothing answers to need not wait for
            from vramcast.backends.eager.batching import trace_workload

        return trace_workload(model, workload, capability, progress)

    def on_card(self, trace: Trace, workload: Workload, card: GpuSpec | None) -> Trace:
        """Add the scratch of cuBLAS, cuDNN and torch's own kernels, and part the pools of CUDA graphs."""
        has_scratch = bool((trace.components == Component.WORKSPACE).any())
        whole = trace if has_scratch else insert_scratch(trace, stack_of(card, workload))
        return with_private_pools(whole, workload)

    def replay(self, trace: Trace, workload: Workload, room: Room) -> Timeline:
        """Play the trace to the caching allocator, with the workload's options."""
        return replay(trace, AllocatorConfig.parse(workload.allocator), room.limit, room.device_memory, room.crowded, room.enough)

    def context(self, workload: Workload, card: GpuSpec | None) -> ContextRange:
        """Return the context of a process that uses torch."""
        return context_bytes(card, loads_eagerly=workload.environment.loads_eagerly)
