"""How a running program says where it is: the tracer listens on a forecast, the measuring harness on a real card."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from vramcast.trace import Component

if TYPE_CHECKING:
    import torch
    from torch import nn


class Probe(Protocol):
    """What a program tells about itself. Nothing here may change what the program does."""

    def phase(self, name: str, step: int) -> None:
        """Say that a phase begins; the one before it ends."""

    def adopt(self, module: nn.Module, weights: Component, buffers: Component) -> None:
        """Say that a module has come to the device: its parameters and buffers, in the order `Module.to` moves them."""

    def claim(self, component: Component, tensors: Iterable[torch.Tensor]) -> None:
        """Say what the storages of these tensors are for; the first claim on a storage wins."""

    def assume(self, tensors: Iterable[torch.Tensor], values: Iterable[torch.Tensor]) -> None:
        """Say which values these tensors are to be thought to hold (drawn targets, drawn predictions)."""

    def caveat(self, message: str, bound_bytes: int | None = None) -> None:
        """Say what was assumed or left out."""
