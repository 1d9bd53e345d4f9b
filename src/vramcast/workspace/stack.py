"""What decides which kernels run: the card's architecture, library versions, and the switches of cuDNN."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vramcast.environment import cublas_workspace_bytes
from vramcast.gpu.spec import GpuSpec
from vramcast.units import GIB
from vramcast.workload import Workload


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
    deterministic: bool = False
    """`torch.use_deterministic_algorithms`, with or without `warn_only`, and `torch.backends.cudnn.deterministic`."""
    cublas_workspace: int | None = None
    """Bytes that `CUBLAS_WORKSPACE_CONFIG` asks for; None: not set."""


def stack_of(card: GpuSpec | None, workload: Workload) -> Stack:
    """Return the card's architecture and the library settings that decide what scratch kernels take."""
    environment = workload.environment
    stack = Stack(
        torch_version=environment.torch_version,
        cudnn_benchmark=workload.cudnn_benchmark,
        allow_tf32=environment.cudnn_tf32,
        deterministic=environment.deterministic,
        cublas_workspace=None if environment.cublas_workspace is None else cublas_workspace_bytes(environment.cublas_workspace),
    )
    if card is None:
        return stack
    capability, sm_count = card.compute_capability or stack.compute_capability, card.sm_count or stack.sm_count
    return replace(stack, compute_capability=capability, sm_count=sm_count, device_memory=card.usable_bytes)
