"""The `Probe` of a measured run: it brings modules to the card, reads the meters at the end of each phase, and marks the allocator's events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from vramcast.measurement import PhaseReading
from vramcast.measuring.meters import Meters
from vramcast.snapshot.marks import Mark, write_mark
from vramcast.trace import Component, Phase

_REAL_VALUES = "Where a forecast draws values (predictions of detectors), the measured run has its own, of a module with random weights."


class CardProbe:
    """Listens to a program that runs on a device, as the tracer does to one on meta tensors."""

    def __init__(self, meters: Meters) -> None:
        self.readings: list[PhaseReading] = []
        """One for each phase that has ended."""
        self.notes: list[str] = []
        self.num_alloc_retries = 0
        self._meters = meters
        self._number = 0
        self._phase = Phase("load", -1)
        self._names: dict[int, str] = {}
        self._places: dict[tuple[int, str], str] = {}
        self._running: list[str] = [""]

    def phase(self, name: str, step: int) -> None:
        """Read the phase that ends, begin the next."""
        self._read()
        self._number += 1
        self._phase = Phase(name, step)
        self._mark()

    def adopt(self, module: nn.Module, weights: Component, buffers: Component) -> None:
        """Move a module to the device, tensor by tensor as `Module.to` does: what a forecast says of its load is what happens here."""
        for name, child in module.named_modules(remove_duplicate=False):
            if self._names.setdefault(id(child), name) != name:  # one activation for all layers: named by the layer that calls it
                self._places[id(child), name.rpartition(".")[0]] = name
        self._mark()
        module.to(self._meters.device)

    def claim(self, component: Component, tensors: Iterable[torch.Tensor]) -> None:
        """Nothing to do: the allocator does not ask what bytes are for."""

    def assume(self, tensors: Iterable[torch.Tensor], values: Iterable[torch.Tensor]) -> None:
        """Leave the values as they are, and say so: to write others would take memory."""
        self.caveat(_REAL_VALUES)

    def caveat(self, message: str, bound_bytes: int | None = None) -> None:
        """Keep a note once."""
        if message not in self.notes:
            self.notes.append(message)

    def finish(self) -> None:
        """Read the last phase."""
        self._read()

    @contextlib.contextmanager
    def follow(self) -> Iterator[None]:
        """Within, every module call is marked. Hooks that return nothing change nothing."""

        def enter(module: nn.Module, _args: Any) -> None:
            around = self._running[-1]
            self._running.append(self._places.get((id(module), around), self._names.get(id(module), around)))
            self._mark()

        def leave(_module: nn.Module, _args: Any, _outputs: Any) -> None:
            if len(self._running) > 1:
                self._running.pop()
            self._mark()

        hooks = (register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _mark(self) -> None:
        self._meters.mark(write_mark(Mark(self._number, self._phase, self._running[-1])))

    def _read(self) -> None:
        """Wait for the device, read its counters, and let the peaks begin anew."""
        self._meters.synchronize()
        counters = self._meters.counters()
        self.num_alloc_retries = counters.num_alloc_retries
        self.readings.append(
            PhaseReading(
                name=self._phase.name, step=self._phase.step, peak_allocated_bytes=counters.peak_allocated,
                peak_reserved_bytes=counters.peak_reserved, allocated_bytes=counters.allocated, reserved_bytes=counters.reserved,
                device=self._meters.device_memory(),
            )
        )  # fmt: skip
        self._meters.reset_peaks()
