"""torch.compile as a backend: the eager backend's kernels and allocator, under what Inductor makes of the program."""

from __future__ import annotations

from vramcast.backends.eager.backend import Eager
from vramcast.backends.interface import Capability, Progress
from vramcast.collecting import not_collecting
from vramcast.errors import WorkloadError
from vramcast.sources.interface import Model
from vramcast.trace import Trace
from vramcast.workload import Workload


class Compile(Eager):
    """See `Backend`."""

    def trace(self, model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
        """Return the trace of the program with its model compiled."""
        if workload.new_tokens is not None:
            raise WorkloadError(
                f"backend 'compile' and new_tokens {workload.new_tokens} exclude each other: compiled text generation is not modelled. "
                "Leave new_tokens out for the pass over the prompt, or take backend 'eager'."
            )
        with not_collecting():
            from vramcast.backends.compile.program import trace_compiled

        return trace_compiled(model, workload, capability, progress)
