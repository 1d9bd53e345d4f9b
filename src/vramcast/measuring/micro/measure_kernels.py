"""Runs kernels one by one and reads off the allocator's events what each asked for.

Each call gets a mark of its own; one snapshot for every `CHUNK` calls then tells all of them apart, so a call costs little more than itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from vramcast.errors import UsageError
from vramcast.measurement import Switches
from vramcast.measuring.measure import MOST_EVENTS, is_out_of_memory
from vramcast.measuring.meters import Meters
from vramcast.measuring.micro.kernel import Kernel
from vramcast.measuring.micro.table import Row, row_of
from vramcast.measuring.switches import switched
from vramcast.program.tasks.interface import tensors_in
from vramcast.snapshot import read_snapshot
from vramcast.snapshot.marks import Mark, write_mark
from vramcast.trace import Event, Phase, Subject, Trace

CHUNK = 100
BETWEEN, NAME = "between", "kernel"
"""Phases of a recorder: what is made ready, and the call itself, whose number is the step."""
_NO_MARKS = "this torch cannot mark the allocator's events, so single kernels cannot be told apart; torch 2.13 can."


@dataclass(frozen=True, slots=True)
class _Ran:
    """What is known of a call before the snapshot is read."""

    kernel: Kernel
    outputs: tuple[int, ...]
    outside: int | None
    error: str


def measure_kernels(kernels: Iterable[Kernel], meters: Meters) -> Iterator[list[Row]]:
    """Run the kernels on a started device; yield their rows, chunk by chunk.

    Raises:
        UsageError: this torch cannot mark events, so the calls cannot be told apart.
    """
    numbered = enumerate(kernels)  # across chunks: a recorder may keep the events of the chunk before
    while chunk := list(itertools.islice(numbered, CHUNK)):
        meters.record(MOST_EVENTS)
        ran = {index: _run(index, kernel, meters) for index, kernel in chunk}
        meters.synchronize()
        requests = requests_of(read_snapshot(meters.snapshot(), Subject("kernels", "measured", 0, 0)))
        if not requests and any(call.outputs for call in ran.values()):
            raise UsageError(_NO_MARKS)
        yield [row_of(call.kernel.key, call.outputs, requests.get(index, ()), call.outside, call.error) for index, call in ran.items()]


def _run(index: int, kernel: Kernel, meters: Meters) -> _Ran:
    outputs: tuple[int, ...] = ()
    error = ""
    with _tf32(kernel.dtype == "tf32"), torch.no_grad() if kernel.direction != "forward_backward" else torch.enable_grad():
        try:
            call = kernel.make(meters.device)
            meters.mark(write_mark(Mark(2 * index, Phase(NAME, index))))
            outputs = storages(call())
        except RuntimeError as raised:
            error = "out of memory" if is_out_of_memory(raised) else str(raised).splitlines()[0]
        finally:
            meters.mark(write_mark(Mark(2 * index + 1, Phase(BETWEEN, -1))))
    return _Ran(kernel, outputs, _outside(meters), error)


def storages(outputs: Any) -> tuple[int, ...]:
    """Return the bytes of each storage among the outputs."""
    storages = {tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes() for tensor in tensors_in(outputs)}
    return tuple(size for size in storages.values() if size)


def _outside(meters: Meters) -> int | None:
    """Return what the card has taken beside the allocator's segments."""
    memory, reserved = meters.device_memory(), meters.counters().reserved
    held = memory.process_bytes if memory.process_bytes is not None else memory.taken_bytes
    return None if held is None else held - reserved


def requests_of(trace: Trace) -> dict[int, Sequence[int]]:
    """Return, per call, the bytes it asked for in order."""
    found: dict[int, list[int]] = {}
    phases = trace.event_phases()
    for event in range(len(trace)):
        phase = trace.phases[phases[event]]
        if phase.name == NAME and trace.kinds[event] == Event.ALLOCATE:
            found.setdefault(phase.step, []).append(int(trace.sizes[trace.blocks[event]]))
    return {step: tuple(sizes) for step, sizes in found.items()}


@contextmanager
def _tf32(is_allowed: bool) -> Iterator[None]:
    switches = Switches(
        cudnn_benchmark=False, cudnn_deterministic=False, cudnn_allow_tf32=is_allowed, matmul_allow_tf32=is_allowed, deterministic_algorithms=False
    )
    with switched(switches):
        yield
