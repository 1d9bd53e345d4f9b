"""The program with its model compiled: what is outside of the model (loss, optimizer, averages) runs as in eager mode."""

from __future__ import annotations

from typing import Any

import torch._dynamo

from vramcast.backends.compile.capture import CompiledFunction
from vramcast.backends.eager.program import DEFAULT_CAPABILITY, trace_program
from vramcast.backends.interface import Capability, Progress
from vramcast.program.program import Program
from vramcast.sources.interface import Model
from vramcast.trace import Trace
from vramcast.tracing.tracer import Tracer
from vramcast.workload import Workload

AUTOTUNING = (
    "max-autotune tries several kernels for each matrix product while it compiles, on copies of their arguments; that moment was not modelled."
)


def trace_compiled(model: Model, workload: Workload, capability: Capability | None, progress: Progress) -> Trace:
    """Return what the program does to memory with its model compiled.

    Raises:
        ModelError, UntraceableError, WorkloadError: as `trace_program`.
    """

    def compiled(program: Program, tracer: Tracer) -> None:
        progress(f"compiling {model.name}")
        if workload.compile_mode == "max-autotune":
            tracer.caveat(AUTOTUNING)
        _compile(program, tracer, capability or DEFAULT_CAPABILITY)

    torch._dynamo.reset()  # what other runs compiled is not this one's
    try:
        return trace_program(model, workload, capability, progress, change=compiled)
    finally:
        torch._dynamo.reset()


def _compile(program: Program, tracer: Tracer, capability: Capability) -> None:
    """Put the compiled function in the place of the model's own.

    Of a detector of Ultralytics' it is the network, without the loss: `attempt_compile` of its trainer (ultralytics 8.4, engine/trainer.py).
    """
    module: Any = program.module
    name = "predict" if program.setting.model.source == "ultralytics" else "forward"
    setattr(module, name, CompiledFunction(getattr(module, name), tracer, capability, program.workload.environment.torch_version))
