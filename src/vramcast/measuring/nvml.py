"""What NVML says of the card and of this process, wherever it says it.

NVML counts in the host's process ids. In a container these are not the process's own, and the driver then lists no such process or hides
what it takes (`usedGpuMemory` is None); the same on a MIG slice asked about as a whole card. Every question then answers None.

Source: NVML API reference, `nvmlDeviceGetComputeRunningProcesses`, `nvmlDeviceGetMemoryInfo_v2`, `nvmlDeviceGetHandleByUUID` (which takes
the UUID of a MIG slice too), `nvmlDeviceGetMigMode`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any


class Nvml:
    """One card: the first that `CUDA_VISIBLE_DEVICES` leaves, in PCI order. `library` is pynvml, or what stands for it."""

    def __init__(self, library: Any = None, environment: Mapping[str, str] = os.environ) -> None:
        self._library = library if library is not None else _pynvml()
        self._card = self._answer(lambda: self._handle(environment.get("CUDA_VISIBLE_DEVICES", "")))

    def process_bytes(self) -> int | None:
        """Return what this process holds on the card, context included."""
        processes = self._of_card(self._library and self._library.nvmlDeviceGetComputeRunningProcesses)
        own = [process.usedGpuMemory for process in processes or () if process.pid == os.getpid() and process.usedGpuMemory]
        return int(own[0]) if own else None

    def used_bytes(self) -> int | None:
        """Return what all processes hold, without what driver and firmware keep for themselves."""
        memory = self._memory()
        return None if memory is None else int(memory.used)

    def total_bytes(self) -> int | None:
        """Return the card's memory."""
        memory = self._memory()
        return None if memory is None else int(memory.total)

    def driver_version(self) -> str:
        """Return the driver's version; empty where it is not told."""
        return str(self._answer(lambda: self._library.nvmlSystemGetDriverVersion()) or "")

    def _memory(self) -> Any:
        return self._of_card(lambda card: self._library.nvmlDeviceGetMemoryInfo(card, version=self._library.nvmlMemory_v2))

    def _handle(self, visible: str) -> Any:
        """Return the handle of the first visible card or slice; None for a whole card that is cut into slices."""
        first = visible.split(",")[0].strip()
        if first.startswith(("GPU-", "MIG-")):
            return self._library.nvmlDeviceGetHandleByUUID(first)
        card = self._library.nvmlDeviceGetHandleByIndex(int(first or 0))
        return None if self._is_cut(card) else card

    def _is_cut(self, card: Any) -> bool:
        mode = self._answer(lambda: self._library.nvmlDeviceGetMigMode(card))
        return bool(mode and mode[0])

    def _of_card(self, ask: Callable[[Any], Any]) -> Any:
        return None if self._card is None else self._answer(lambda: ask(self._card))

    def _answer(self, ask: Callable[[], Any]) -> Any:
        """Return the answer; None where NVML is absent or does not tell."""
        if self._library is None:
            return None
        try:
            return ask()
        except (self._library.NVMLError, ValueError):
            return None


def _pynvml() -> Any:
    """Return pynvml, ready; None on a machine without the driver. It stays open for the life of the process."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml
