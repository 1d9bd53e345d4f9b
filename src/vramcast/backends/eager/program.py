"""Eager PyTorch: the program itself, run on meta tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from vramcast.backends.eager.blame import blamed
from vramcast.collecting import collecting_young_objects_only, not_collecting
from vramcast.program.adapters import adapter_parameters
from vramcast.program.prepare import prepare
from vramcast.program.program import Program
from vramcast.program.quantized import pack_weights
from vramcast.program.run import run
from vramcast.program.sizes import check_sizes
from vramcast.sources.building import build_on_meta
from vramcast.sources.dynamo import dynamo_postponed
from vramcast.sources.interface import Model
from vramcast.trace import Subject, Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.cuda.deterministic import deterministic_algorithms
from vramcast.tracing.plans import PlannedShapes
from vramcast.tracing.shape_checks import plain_checks
from vramcast.tracing.tracer import Tracer
from vramcast.workload import Workload

Change = Callable[[Program, Tracer], None]

DEFAULT_CAPABILITY = (8, 0)
"""The architecture assumed where no card was named: kernels are chosen as on an A100."""


def trace_program(
    model: Model, workload: Workload, capability: tuple[int, int] | None, progress: Callable[[str], None], change: Change | None = None
) -> Trace:  # fmt: skip
    """Build the model on the meta device, run the workload's program and return what it did to memory.

    `change` may put something else in the place of the program's parts before it runs.

    Raises:
        ModelError: the model cannot be built, or raises while it runs; the message names module and input shapes.
        UntraceableError: an operator has no shape function.
        WorkloadError: the workload does not go with this model.
    """
    check_sizes(model, workload)
    with dynamo_postponed():
        progress(f"building {model.name}")
        with not_collecting(), plain_checks(), PlannedShapes():
            module = build_on_meta(model, workload.classes)
            parameters = sum(parameter.numel() for parameter in module.parameters())
            assumptions = pack_weights(module, workload, model)
        tracer = Tracer(capability or DEFAULT_CAPABILITY, workload.seed, workload.environment.torch_version)
        with collecting_young_objects_only(), tracer, blamed(model, module, workload, tracer):
            for assumed in assumptions:
                tracer.caveat(assumed)
            program = prepare(module, model, workload, tracer)
            if change is not None:
                change(program, tracer)
            progress(f"tracing {model.name}")
            with deterministic_algorithms(workload.environment.deterministic):
                held: Any = run(program, tracer)
            recording = tracer.recording()
        del held, program
    return attribute(recording, _subject(model, module, parameters + adapter_parameters(module)))


def _subject(model: Model, module: nn.Module, parameters: int) -> Subject:
    trainable = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    return Subject(name=model.name, source=model.source, parameters=parameters, trainable_parameters=trainable)
