"""TensorRT as a backend: engines for inference, forecast from the graph alone."""

from __future__ import annotations

from vramcast.allocator.plain_malloc import replay_plainly
from vramcast.allocator.room import Room
from vramcast.backends.graphs.batches import KnownBatches
from vramcast.backends.interface import Capability, Progress
from vramcast.backends.tensorrt.build import build
from vramcast.backends.tensorrt.caveats import caveats_of
from vramcast.backends.tensorrt.process import process_context
from vramcast.backends.tensorrt.recording import record
from vramcast.collecting import not_collecting
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.sources.interface import Model
from vramcast.tensorrt_options import TensorRtOptions
from vramcast.timeline import Timeline
from vramcast.trace import Subject, Trace
from vramcast.workload import Workload

_NO_CARD: Capability = (8, 0)
"""As on an A100."""
_KNOWN = KnownBatches()


class TensorRt:
    """See `Backend`."""

    def trace(self, model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
        """Build the engine on paper, for the largest batch of its profile, and record what it holds."""
        with not_collecting():  # torch and onnx, which a name that nothing answers to need not wait for
            from vramcast.backends.graphs import graph_of

        exported = _exported(model, workload)
        question = (model, exported.with_fields(batch=1, tensorrt=TensorRtOptions()))
        graph = _KNOWN.graph(question, exported.batch, lambda: graph_of(model, exported, progress))
        progress("fusing and planning")
        engine = build(graph, workload.precision, workload.tensorrt, capability or _NO_CARD)
        subject = Subject(model.name, model.source, graph.parameters, 0)
        return record(engine, subject, workload.tensorrt.contexts, caveats_of(graph, engine, workload, capability))

    def on_card(self, trace: Trace, workload: Workload, card: GpuSpec | None) -> Trace:
        """Return the trace as it is: scratch is part of the plan."""
        return trace

    def replay(self, trace: Trace, workload: Workload, room: Room) -> Timeline:
        """Play the trace to `cudaMalloc`."""
        return replay_plainly(trace, room)

    def context(self, workload: Workload, card: GpuSpec | None) -> ContextRange:
        """Return the context of a process that runs an engine, without torch."""
        return process_context(card, loads_eagerly=workload.environment.module_loading == "eager")


def _exported(model: Model, workload: Workload) -> Workload:
    """Return the workload to export at: the profile's largest batch, and a module in fp32, which the builder converts."""
    profile = workload.tensorrt.profile
    batch = workload.batch if profile is None else profile[2]
    return workload.with_fields(batch=batch, precision=workload.precision if model.read_graph else "fp32")
