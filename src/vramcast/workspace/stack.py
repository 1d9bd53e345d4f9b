"""What decides which kernels run: the card's architecture, library versions, and the switches of cuDNN."""

from __future__ import annotations

from dataclasses import dataclass

from vramcast.units import GIB


@dataclass(frozen=True, slots=True)
class Stack:
    """A card and the libraries on it; the defaults are an A100 under torch 2.13 with torch's default switches."""

    compute_capability: tuple[int, int] = (8, 0)
    sm_count: int = 108
    """Streaming multiprocessors."""
    device_memory: int = 40 * GIB
    """The card's memory in bytes: cuDNN's benchmark leaves out plans that no longer fit."""
    torch_version: tuple[int, int] = (2, 13)
    cudnn_benchmark: bool = False
    """`torch.backends.cudnn.benchmark`."""
    allow_tf32: bool = True
    """`torch.backends.cudnn.allow_tf32`, on by default for convolutions."""
    cublas_workspace: int | None = None
    """Bytes that `CUBLAS_WORKSPACE_CONFIG` asks for; None: not set."""
