"""The `Measurement`: what a program took on a real card, with all that is needed to ask for the same forecast. Sizes are bytes.

One measurement is one JSON file (docs/measuring.md): immutable structs, read without torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from vramcast.trace import Trace
from vramcast.trace_file import decode_trace
from vramcast.workload import Workload

SCHEMA = "vramcast/measurement-1"

Outcome = Literal["ok", "out_of_memory", "failed"]
Method = Literal["nvml process", "nvml device difference", "cudaMemGetInfo difference", "unknown"]


class MeasuredCard(msgspec.Struct, frozen=True, kw_only=True):
    """The card as driver and torch describe it."""

    name: str
    memory_bytes: int
    usable_bytes: int
    """What `cudaMemGetInfo` calls total."""
    compute_capability: tuple[int, int]
    sm_count: int


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """What ran. Texts as the programs print them; empty where one is absent."""

    driver: str
    cuda: str
    cudnn: str
    python: str
    platform: str
    packages: dict[str, str]
    """torch, torchvision, timm … by their installed versions."""
    variables: dict[str, str]
    """Environment variables that change what CUDA or the allocator take, where they are set."""


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """torch's switches as they stood during the run: what the workload asks for, as torch said it has it."""

    cudnn_benchmark: bool
    cudnn_deterministic: bool
    cudnn_allow_tf32: bool
    """TF32 in cuDNN's convolutions: `workload.environment.cudnn_tf32`."""
    matmul_allow_tf32: bool
    """TF32 in matrix products: only with precision `tf32`."""
    deterministic_algorithms: bool
    """`torch.use_deterministic_algorithms(True, warn_only=True)`."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in place of a measurement whose process ended badly."""

    id: str
    reason: str
    """The last words of the process."""
    request: msgspec.Raw
    """What it was asked, as JSON."""


class DeviceReading(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver said at one moment, by each way of asking; None where it does not tell."""

    process_bytes: int | None = None
    """NVML, for this process; hidden in many containers and on MIG slices."""
    used_bytes: int | None = None
    """NVML, for the whole card, less what driver and firmware keep."""
    taken_bytes: int | None = None
    """`cudaMemGetInfo`, total less free: for the whole card or slice. Not asked before there is a context, since asking makes one."""


class PhaseReading(msgspec.Struct, frozen=True, kw_only=True):
    """One phase of one step: its peaks, and what was left at its end."""

    name: str
    step: int
    peak_allocated_bytes: int
    peak_reserved_bytes: int
    allocated_bytes: int
    reserved_bytes: int
    device: DeviceReading


class Figure(msgspec.Struct, frozen=True):
    """One measured figure, named as forecasts name it."""

    metric: Literal["allocated", "reserved", "device"]
    measured_bytes: int


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one program on one card."""

    schema: str = SCHEMA
    vramcast: str
    """Version that measured."""
    id: str
    model: str
    """Full name: `timm:convnext_tiny`."""
    parameters: int
    trainable_parameters: int
    workload: Workload
    """As it was asked for. Which torch ran, and with which switches and variables, stands in `software` and `switches`."""
    card: MeasuredCard
    software: Software
    switches: Switches
    outcome: Outcome
    message: str = ""
    """The error's own words; empty after a run that went well."""
    max_memory_allocated_bytes: int
    max_memory_reserved_bytes: int
    num_alloc_retries: int
    """How often cached segments were given back before a request could be served."""
    before: DeviceReading
    """Before the process had a CUDA context."""
    after_context: DeviceReading
    """With a context and nothing allocated."""
    peak: DeviceReading
    """The most that was seen of each, sampled while the program ran and at the end of each phase."""
    phases: tuple[PhaseReading, ...]
    seconds: float
    """From the first tensor to the last step, recording included."""
    notes: tuple[str, ...] = ()
    """What was assumed, left out, or could not be read."""
    trace: bytes = b""
    """The memory snapshot as a trace (`trace_file.encode_trace`); empty where there is none."""

    @property
    def method(self) -> Method:
        """How the process's memory was told."""
        if self.peak.process_bytes is not None:
            return "nvml process"
        if self.peak.used_bytes is not None and self.before.used_bytes is not None:
            return "nvml device difference"
        return "cudaMemGetInfo difference" if self.peak.taken_bytes is not None else "unknown"

    def process_bytes(self, reading: DeviceReading) -> int | None:
        """Return what the process holds on the card, by the best way there was; None where there was none.

        A difference counts what other processes took meanwhile; `cudaMemGetInfo` alone, what they held all along.
        """
        if self.method == "nvml process":
            return reading.process_bytes
        if self.method == "nvml device difference":
            return None if reading.used_bytes is None or self.before.used_bytes is None else reading.used_bytes - self.before.used_bytes
        return reading.taken_bytes

    @property
    def context_bytes(self) -> int | None:
        """What the process held outside the allocator at the end of the phase with the highest reserved peak: context and loaded kernels."""
        if not self.phases:
            return None
        last = max(self.phases, key=lambda phase: phase.peak_reserved_bytes)
        held = self.process_bytes(last.device)
        return None if held is None else held - last.reserved_bytes

    def figures(self) -> tuple[Figure, ...]:
        """Return what can be held against a forecast; nothing of a run that did not reach its end."""
        if self.outcome != "ok":
            return ()
        device = self.process_bytes(self.peak)
        figures = (Figure("allocated", self.max_memory_allocated_bytes), Figure("reserved", self.max_memory_reserved_bytes))
        return figures if device is None else (*figures, Figure("device", device))

    def environment(self) -> Mapping[str, str]:
        """Return what distinguishes this environment from another: card, driver and versions."""
        software = self.software
        return {"gpu": self.card.name, "driver": software.driver, "cuda": software.cuda, "cudnn": software.cudnn, **software.packages}

    def read_trace(self) -> Trace | None:
        """Return the recorded trace; None where the file has none. Raises `InvalidFileError` when it is damaged."""
        return decode_trace(self.trace) if self.trace else None
