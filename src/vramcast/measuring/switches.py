"""torch's switches that decide which kernels run, as a workload wants them.

`fp32` is measured as it says, without TF32 anywhere; `tf32` with TF32 in convolutions and matrix products. In every other precision the few
fp32 kernels run with torch's defaults: TF32 in convolutions, not in matrix products (torch 2.13, docs/source/notes/cuda.rst). A forecast
assumes the defaults, for `fp32` too (`workspace/stack.py`): a script that sets nothing runs so, and is measured so with
`cudnn_tf32=True`. What stood is in the measurement, and a forecast made to be held against it takes it from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vramcast.measurement import Switches
from vramcast.workload import Workload

_CONVOLUTIONS = {"fp32": False, "tf32": True}
"""Precision -> TF32 in convolutions; every other: torch's default."""


def wanted(workload: Workload, cudnn_tf32: bool | None = None) -> Switches:
    """Return the switches for a workload; `cudnn_tf32` overrules the precision for convolutions."""
    by_precision = _CONVOLUTIONS.get(workload.precision, True)
    return Switches(
        cudnn_benchmark=workload.cudnn_benchmark,
        cudnn_deterministic=False,
        cudnn_allow_tf32=by_precision if cudnn_tf32 is None else cudnn_tf32,
        matmul_allow_tf32=workload.precision == "tf32",
        deterministic_algorithms=False,
    )


@contextmanager
def switched(switches: Switches) -> Iterator[None]:
    """Within, torch's switches stand as given; afterwards as before."""
    before = _standing()
    _turn(switches)
    try:
        yield
    finally:
        _turn(before)


def _standing() -> Switches:
    return Switches(
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        cudnn_deterministic=torch.backends.cudnn.deterministic,
        cudnn_allow_tf32=torch.backends.cudnn.allow_tf32,
        matmul_allow_tf32=torch.backends.cuda.matmul.allow_tf32,
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
    )


def _turn(switches: Switches) -> None:
    torch.backends.cudnn.benchmark = switches.cudnn_benchmark
    torch.backends.cudnn.deterministic = switches.cudnn_deterministic
    torch.backends.cudnn.allow_tf32 = switches.cudnn_allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = switches.matmul_allow_tf32
    torch.use_deterministic_algorithms(switches.deterministic_algorithms)
