"""What deterministic mode changes and is not modelled.

`torch.use_deterministic_algorithms` (its documentation, torch 2.13) has index, scatter and padding operators take other kernels, refuses operators
that have none, and refuses cuBLAS unless `CUBLAS_WORKSPACE_CONFIG` is set (with `warn_only` all run all the same, cuBLAS with the default workspace).
With `cudnn.deterministic`, cuDNN's engines that are marked nondeterministic are left out (`filterEngineConfigs`,
aten/src/ATen/native/cudnn/Conv_v8.cpp). The parameters for half types are fitted on trainers that run so; those for fp32 on one that does not. What
is modelled stands with the operators (`attention.py`, `sorting.py`), and with what torch takes apart (`tracing/cuda/deterministic.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from vramcast.environment import cublas_workspace_bytes
from vramcast.trace import Caveat, Trace
from vramcast.workspace.cublas import OPERATORS, workspace_bytes
from vramcast.workspace.stack import Stack

USUAL_CUBLAS_CONFIG = ":4096:8"
"""The larger of the two values that torch accepts (documentation of `torch.use_deterministic_algorithms`)."""
_THREADS = 2
"""Forward and backward have a handle each."""
_SORTING = frozenset({
    "index_add", "index_copy", "index_put", "put", "scatter", "scatter_add", "scatter_reduce", "replication_pad1d_backward",
    "replication_pad2d_backward", "replication_pad3d_backward",
})  # fmt: skip
"""Operators that "will act deterministically" (documentation of `torch.use_deterministic_algorithms`, torch 2.13), by the names autograd calls
them: the gradients of `gather` and `index_select` are `scatter_add` and `index_add`."""
_REFUSED = frozenset({
    "avg_pool3d_backward", "_adaptive_avg_pool2d_backward", "_adaptive_avg_pool3d_backward", "adaptive_max_pool2d_backward",
    "fractional_max_pool2d_backward", "fractional_max_pool3d_backward", "max_unpool2d", "max_unpool3d", "upsample_linear1d_backward",
    "upsample_bicubic2d_backward", "reflection_pad1d_backward", "reflection_pad2d_backward", "reflection_pad3d_backward", "nll_loss2d_forward",
    "_ctc_loss_backward", "histc", "grid_sampler_2d_backward", "grid_sampler_3d_backward",
})  # fmt: skip
"""Operators that "will throw a RuntimeError" (the same place), by ATen's names (native_functions.yaml); those for which it depends on
arguments that a trace does not keep (bincount, cumsum, median, put) are left out."""


def caveats(trace: Trace, stack: Stack) -> Iterator[Caveat]:
    """Yield what is unknown about the scratch of a trace in deterministic mode; nothing in the usual mode."""
    if not stack.deterministic:
        return
    calls = trace.calls.values()
    if any(call.operator.startswith("convolution") and call.inputs[0] is not None and call.inputs[0].dtype == "float32" for call in calls):
        yield Caveat(
            "cudnn.deterministic leaves out engines; the workspaces of those that fp32 convolutions run on then are taken to be the usual ones"
        )
    if stack.cublas_workspace is None and any(call.operator in OPERATORS for call in calls):
        more = max(0, cublas_workspace_bytes(USUAL_CUBLAS_CONFIG) - workspace_bytes(stack))
        yield Caveat(
            "deterministic algorithms: torch refuses cuBLAS unless CUBLAS_WORKSPACE_CONFIG is set; the forecast has the default workspace, which "
            f"{USUAL_CUBLAS_CONFIG} exceeds", _THREADS * more,
        )  # fmt: skip
    names = {name.partition("::")[2].rstrip("_") for name in trace.operators}
    if names & _SORTING:
        yield Caveat(f"deterministic algorithms: {_list(names & _SORTING)} take kernels that sort their indices, whose scratch is not modelled")
    if names & _REFUSED:
        yield Caveat(f"deterministic algorithms: torch refuses {_list(names & _REFUSED)} unless they are asked for with warn_only=True")


def _list(names: Set[str]) -> str:
    return ", ".join(sorted(names))
