"""What a measured run asks of the device it runs on. `cuda_meters.py` asks a card; tests answer from recorded data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from vramcast.measurement import DeviceReading, MeasuredCard, Software

Stacks = Literal["python", "all"]
"""What is kept of who asked: Python functions, or those of C++ too, which name the operator in backward as well."""


@dataclass(frozen=True, slots=True)
class Counters:
    """torch's own counting, in bytes; peaks since they were last reset."""

    allocated: int
    reserved: int
    peak_allocated: int
    peak_reserved: int
    num_alloc_retries: int
    """Since the process began."""


class Meters(Protocol):
    """A device, and what tells its memory. Reading changes nothing on the device."""

    @property
    def device(self) -> str:
        """torch's name of the device: `cuda`."""

    def start(self) -> None:
        """Bring the device to life: a context, and nothing allocated.

        Raises:
            UsageError: there is no such device, or torch was built without it.
        """

    def card(self) -> MeasuredCard:
        """Describe the device, once it is started."""

    def software(self) -> Software:
        """Say which versions run."""

    def device_memory(self) -> DeviceReading:
        """Ask the driver. Before `start` only what does not make a context is asked."""

    def record(self, most_events: int, stacks: Stacks = "python") -> None:
        """Begin to record every event of the allocator."""

    def mark(self, text: str) -> None:
        """Attach a text to the events of this thread that follow."""

    def synchronize(self) -> None:
        """Wait until everything asked for is done."""

    def counters(self) -> Counters:
        """Read torch's counters."""

    def reset_peaks(self) -> None:
        """Let the peaks begin anew at what is held now."""

    def snapshot(self) -> object:
        """Return what was recorded, as `torch.cuda.memory._snapshot()` does."""
