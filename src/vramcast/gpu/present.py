"""The cards in this machine, asked of the driver through nvidia-ml-py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PresentCard:
    """What the driver says of one card. Sizes in bytes."""

    name: str
    memory_bytes: int
    usable_bytes: int
    """Total less what the driver reports as reserved for itself and the firmware."""
    compute_capability: tuple[int, int]


def present_cards() -> tuple[PresentCard, ...]:
    """Return the NVIDIA cards of this machine in PCI order; empty without a card, or where the driver does not tell.

    Cards that share the processor's memory (Jetson) do not tell their memory through NVML.

    Source: NVML API reference, `nvmlDeviceGetMemoryInfo_v2` (fields total and reserved) and
    `nvmlDeviceGetCudaComputeCapability`.
    """
    import pynvml  # Reading its thousands of definitions takes a noticeable time, which only this question should cost.

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_read(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _read(nvml: Any, index: int) -> PresentCard:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(device, version=nvml.nvmlMemory_v2)
    major, minor = nvml.nvmlDeviceGetCudaComputeCapability(device)
    return PresentCard(nvml.nvmlDeviceGetName(device), int(memory.total), int(memory.total - memory.reserved), (int(major), int(minor)))
