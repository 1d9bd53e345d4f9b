"""What a forecast says of the kernels that were measured one by one: the same calls, traced, with the scratch of the rules in `workspace/`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch

from vramcast.measuring.micro.kernel import Kernel
from vramcast.measuring.micro.measure_kernels import BETWEEN, NAME, requests_of, storages
from vramcast.measuring.micro.table import Row, row_of
from vramcast.trace import Subject
from vramcast.tracing.attribution import attribute
from vramcast.tracing.tracer import Tracer
from vramcast.workspace.insert import insert_scratch
from vramcast.workspace.stack import Stack

CHUNK = 500
_ALONE = frozenset({"gemm"})
"""Kinds that are measured with a handle of their own each, so that no call finds what another has left."""


def forecast_kernels(kernels: Iterable[Kernel], stack: Stack) -> Iterator[Row]:
    """Yield a forecast row for each kernel, in order; nothing is known of the context."""
    for (kind, is_tf32), alike in itertools.groupby(kernels, key=lambda kernel: (kernel.kind, kernel.dtype == "tf32")):
        remaining = iter(alike)
        while chunk := list(itertools.islice(remaining, 1 if kind in _ALONE else CHUNK)):
            yield from _traced(chunk, replace(stack, allow_tf32=is_tf32))


def _traced(kernels: list[Kernel], stack: Stack) -> Iterator[Row]:
    outputs: list[tuple[int, ...]] = []
    with Tracer(stack.compute_capability) as tracer:
        for index, kernel in enumerate(kernels):
            tracer.phase(BETWEEN, -1)
            with torch.no_grad() if kernel.direction != "forward_backward" else torch.enable_grad():
                call = kernel.make("cuda")
                tracer.phase(NAME, index)
                outputs.append(storages(call()))
        trace = attribute(tracer.recording(), Subject("kernels", "forecast", 0, 0))
    requests = requests_of(insert_scratch(trace, stack))
    for index, kernel in enumerate(kernels):
        yield row_of(kernel.key, outputs[index], requests.get(index, ()), None)
