"""What only the backend `onnxruntime` asks: the fields of `Workload.onnxruntime`, named as ONNX Runtime names its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from vramcast.errors import WorkloadError
from vramcast.units import GIB, MIB

if TYPE_CHECKING:
    from vramcast.workload import Workload

OptimizationLevel = Literal["disable_all", "basic", "extended", "all"]
ExtendStrategy = Literal["kNextPowerOfTwo", "kSameAsRequested"]
AlgoSearch = Literal["EXHAUSTIVE", "HEURISTIC", "DEFAULT"]
ExecutionOrder = Literal["DEFAULT", "PRIORITY_BASED"]
SIZES = ("gpu_mem_limit", "initial_chunk_size_bytes", "max_dead_bytes_per_chunk", "initial_growth_chunk_size_bytes", "max_power_of_two_extend_bytes")
"""Options that are sizes in bytes."""
SMALLEST_SIZE = 256
"""`kMinAllocationSize` of the arena."""
LARGEST_SIZE = 2**62


class OnnxRuntimeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a session is made and run. The defaults are ONNX Runtime's (`OrtCUDAProviderOptionsV2`, `OrtArenaCfg`, `SessionOptions`)."""

    gpu_mem_limit: int | None = None
    """Bytes the arena may have; None: any number."""
    arena_extend_strategy: ExtendStrategy = "kNextPowerOfTwo"
    """How far the arena grows for a request it cannot serve."""
    initial_chunk_size_bytes: int = MIB
    max_dead_bytes_per_chunk: int = 128 * MIB
    """Bytes that a request may waste."""
    initial_growth_chunk_size_bytes: int = 2 * MIB
    """First region after the arena was shrunk."""
    max_power_of_two_extend_bytes: int = GIB
    """Regions do not double beyond this by themselves."""
    cudnn_conv_algo_search: AlgoSearch = "EXHAUSTIVE"
    cudnn_conv_use_max_workspace: bool = True
    """False: the search has 32 MiB. Builds with cuDNN 9 do not search (see `cudnn`)."""
    cudnn: Literal[8, 9] = 9
    """cuDNN that the provider was built with: from 9 on (onnxruntime-gpu 1.19) it asks cuDNN's heuristics instead of trying algorithms."""
    graph_optimization_level: OptimizationLevel = "all"
    execution_order: ExecutionOrder = "DEFAULT"
    enable_mem_pattern: bool = True
    """From the second run of a shape on, all intermediate values share one block."""
    use_device_allocator_for_initializers: bool = False
    """Without a memory pattern: initializers come from the device one by one, not from the arena."""
    io_binding: bool = False
    """Inputs and outputs are bound to device memory of the caller's, and not copied through the arena."""
    enable_memory_arena_shrinkage: bool = False
    """Unused regions go back after each run."""
    enable_cuda_graph: bool = False
    """Runs are captured and replayed; inputs and outputs must be bound."""

    def __post_init__(self) -> None:
        for name in SIZES:
            size = getattr(self, name)
            if size is not None and not SMALLEST_SIZE <= size <= LARGEST_SIZE:
                raise WorkloadError(f"onnxruntime.{name} is {size}; it must be at least {SMALLEST_SIZE} bytes and at most {LARGEST_SIZE:,}.")
        if self.enable_cuda_graph and not self.io_binding:
            raise WorkloadError(
                "onnxruntime.enable_cuda_graph and onnxruntime.io_binding false exclude each other: a captured run needs fixed addresses."
            )


def check_onnxruntime(workload: Workload) -> None:
    """Refuse what a session does not do, and what only a session does.

    Raises:
        WorkloadError: two fields exclude each other; the message names both.
    """
    if workload.backend == "onnxruntime":
        _refuse_what_no_session_does(workload)
    elif workload.backend is not None and workload.onnxruntime != OnnxRuntimeOptions():
        raise WorkloadError(f"onnxruntime options and backend {workload.backend!r} exclude each other: take backend 'onnxruntime'.")


def _refuse_what_no_session_does(workload: Workload) -> None:
    precision = workload.precision
    if workload.is_training:
        raise WorkloadError("mode 'train' and backend 'onnxruntime' exclude each other: a session runs inference alone. Take mode 'infer'.")
    if precision.startswith("amp-"):
        raise WorkloadError(f"precision {precision!r} and backend 'onnxruntime' exclude each other: autocast is torch's; take {precision[4:]!r}.")
    if workload.new_tokens is not None:
        raise WorkloadError(f"new_tokens {workload.new_tokens} and backend 'onnxruntime' exclude each other: a session runs one forward pass.")
