"""What runs a model: how its program is traced, what its kernels take on a card, and which allocator serves them.

A backend is a folder here and one line in `registry.py`. Its `backend.py` imports torch, or the package it asks, only inside `trace`, so that a
saved trace can be forecast without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vramcast.allocator.room import Room
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.sources.interface import Model
from vramcast.timeline import Timeline
from vramcast.trace import Trace
from vramcast.workload import Workload

Progress = Callable[[str], None]
Capability = tuple[int, int]


class Backend(Protocol):
    """One way to run a model on a GPU."""

    def trace(self, model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
        """Return what the workload asks for and gives back, without what kernels take for themselves on one card or another.

        `capability` is the architecture that kernels are chosen for; None: where no card was named, as on an A100.

        Raises:
            WorkloadError: the backend does not run such a workload.
            ModelError: the model cannot be built, exported or run.
            UntraceableError: an operator cannot be followed without a GPU.
        """

    def on_card(self, trace: Trace, workload: Workload, card: GpuSpec | None) -> Trace:
        """Return the trace with the scratch that kernels take on this card; as it is, where it has that already."""

    def replay(self, trace: Trace, workload: Workload, room: Room) -> Timeline:
        """Play the trace to the allocators of this backend; `room.enough` allows to end early, and need not be heeded."""

    def context(self, workload: Workload, card: GpuSpec | None) -> ContextRange:
        """Return what the process holds outside of them: the CUDA context, kernels and libraries."""
