"""The meters of a real card: torch's counters and recorder, and the driver's view through NVML and `cudaMemGetInfo`."""

from __future__ import annotations

from typing import Any

import torch

from vramcast.errors import UsageError
from vramcast.measurement import DeviceReading, MeasuredCard, Software
from vramcast.measuring.card_present import WAY_OUT
from vramcast.measuring.environment import software
from vramcast.measuring.meters import Counters, Stacks
from vramcast.measuring.nvml import Nvml

_NO_CUDA = f"measuring needs an NVIDIA card and a CUDA build of torch; torch {torch.__version__} finds no card here. {WAY_OUT}"


class CudaMeters:
    """The first card that `CUDA_VISIBLE_DEVICES` leaves."""

    device = "cuda"

    def __init__(self) -> None:
        self._nvml = Nvml()
        self._is_started = False

    def start(self) -> None:
        """Make the context: `cudaMemGetInfo` needs one and takes nothing from the allocator."""
        if not torch.cuda.is_available():
            raise UsageError(_NO_CUDA)
        torch.cuda.init()
        torch.cuda.mem_get_info()
        torch.cuda.synchronize()
        self._is_started = True

    def card(self) -> MeasuredCard:
        """Describe the card by torch's device properties; `usable_bytes` is the total of `cudaMemGetInfo`."""
        properties = torch.cuda.get_device_properties(0)
        _, total = torch.cuda.mem_get_info()
        return MeasuredCard(
            name=properties.name, memory_bytes=self._nvml.total_bytes() or int(properties.total_memory), usable_bytes=int(total),
            compute_capability=(properties.major, properties.minor), sm_count=properties.multi_processor_count,
        )  # fmt: skip

    def software(self) -> Software:
        """Versions of driver, CUDA, cuDNN and packages."""
        return software(self._nvml.driver_version())

    def device_memory(self) -> DeviceReading:
        """NVML's figures, and `cudaMemGetInfo`'s once there is a context."""
        taken = None
        if self._is_started:
            free, total = torch.cuda.mem_get_info()
            taken = total - free
        return DeviceReading(process_bytes=self._nvml.process_bytes(), used_bytes=self._nvml.used_bytes(), taken_bytes=taken)

    def record(self, most_events: int, stacks: Stacks = "python") -> None:
        """Record; a Python stack takes two microseconds and no device memory, one of C++ as much again (torch 2.13, `torch/cuda/memory.py`)."""
        torch.cuda.memory._record_memory_history("all", context="all", stacks=stacks, max_entries=most_events)

    def mark(self, text: str) -> None:
        """Set the metadata of the allocator's events; torch that has none leaves the trace without phases (2.13 has it)."""
        set_metadata: Any = getattr(torch.cuda.memory, "_set_memory_metadata", None)
        if set_metadata is not None:
            set_metadata(text)

    def synchronize(self) -> None:
        """Wait for the card."""
        torch.cuda.synchronize()

    def counters(self) -> Counters:
        """Read `torch.cuda.memory_stats`."""
        stats = torch.cuda.memory_stats()
        names = ("allocated_bytes.all.current", "reserved_bytes.all.current", "allocated_bytes.all.peak", "reserved_bytes.all.peak")
        allocated, reserved, peak_allocated, peak_reserved = (int(stats.get(name, 0)) for name in names)
        return Counters(allocated, reserved, peak_allocated, peak_reserved, num_alloc_retries=int(stats.get("num_alloc_retries", 0)))

    def reset_peaks(self) -> None:
        """Set torch's peaks to what is held now."""
        torch.cuda.reset_peak_memory_stats()

    def snapshot(self) -> object:
        """Return torch's snapshot and stop recording."""
        taken: object = torch.cuda.memory._snapshot()
        torch.cuda.memory._record_memory_history(None)
        return taken
