"""ONNX Runtime with its CUDA provider as a backend: sessions for inference, forecast from the graph alone."""

from __future__ import annotations

from dataclasses import replace

from vramcast.allocator.room import Room
from vramcast.backends.interface import Capability, Progress
from vramcast.backends.onnxruntime.arena_replay import replay_session
from vramcast.backends.onnxruntime.caveats import caveats_of
from vramcast.backends.onnxruntime.session import make_session, record
from vramcast.collecting import not_collecting
from vramcast.gpu.context import ContextRange, context_bytes
from vramcast.gpu.spec import GpuSpec
from vramcast.sources.interface import Model
from vramcast.timeline import Timeline
from vramcast.trace import Subject, Trace
from vramcast.workload import Workload

_NO_CARD: Capability = (8, 0)
"""As on an A100."""
_LOWEST_SHARE = 0.6
"""Assumed: of the torch process' lowest figure, what is left without torch's kernels."""


class OnnxRuntime:
    """See `Backend`."""

    def trace(self, model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
        """Make the session on paper, and record loading and runs: the first, and those by its memory pattern."""
        with not_collecting():  # torch and onnx, which a name that nothing answers to need not wait for
            from vramcast.backends.graphs import graph_of

        graph = graph_of(model, workload, progress)
        progress("optimizing and planning")
        session = make_session(graph, workload.onnxruntime)
        allows_tf32 = workload.environment.cudnn_tf32
        recorder = record(session, max(workload.steps, 1), capability or _NO_CARD, allows_tf32=allows_tf32)
        subject = Subject(model.name, model.source, graph.parameters, 0)
        return recorder.trace(subject, tuple(caveats_of(graph, session, workload)))

    def on_card(self, trace: Trace, workload: Workload, card: GpuSpec | None) -> Trace:
        """Return the trace as it is: kernels and their scratch were chosen by architecture."""
        return trace

    def replay(self, trace: Trace, workload: Workload, room: Room) -> Timeline:
        """Play the trace to the session's arena."""
        return replay_session(trace, workload.onnxruntime, room)

    def context(self, workload: Workload, card: GpuSpec | None) -> ContextRange:
        """Return the context of a process that loads the CUDA provider, cuDNN and cuBLAS, without torch.

        No such process was measured: torch's figure is taken, whose kernels are more, and the range is opened downwards.
        """
        torch = context_bytes(card, loads_eagerly=workload.environment.module_loading == "eager")
        source = f"{torch.source}; processes of torch, whose kernels ONNX Runtime does not load"
        return replace(torch, low=int(torch.low * _LOWEST_SHARE), source=source, is_measured=False)
