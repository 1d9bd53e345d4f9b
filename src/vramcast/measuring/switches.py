"""torch's switches that decide which kernels run, as a workload asks for them.

TF32 in convolutions is as the environment says, by default on; in matrix products only the precision `tf32` allows it (torch's defaults: 2.13,
docs/source/notes/cuda.rst). What stood is in the measurement, and a forecast made to be held against it takes it from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vramcast.measurement import Switches
from vramcast.workload import Workload


def wanted(workload: Workload) -> Switches:
    """Return the switches for a workload."""
    environment = workload.environment
    return Switches(
        cudnn_benchmark=workload.cudnn_benchmark,
        cudnn_deterministic=environment.deterministic,
        cudnn_allow_tf32=environment.cudnn_tf32,
        matmul_allow_tf32=workload.precision == "tf32",
        deterministic_algorithms=environment.deterministic,
    )


@contextmanager
def switched(switches: Switches) -> Iterator[Switches]:
    """Within, torch's switches stand as given; yields what torch says of them. Afterwards they are as before."""
    before, debug_mode = _standing(), torch.get_deterministic_debug_mode()
    _turn(switches)
    try:
        yield _standing()
    finally:
        _turn(before)
        torch.set_deterministic_debug_mode(debug_mode)  # which holds `warn_only` too


def _standing() -> Switches:
    return Switches(
        cudnn_benchmark=torch.backends.cudnn.benchmark,
        cudnn_deterministic=torch.backends.cudnn.deterministic,
        cudnn_allow_tf32=torch.backends.cudnn.allow_tf32,
        matmul_allow_tf32=torch.backends.cuda.matmul.allow_tf32,
        deterministic_algorithms=torch.are_deterministic_algorithms_enabled(),
    )


def _turn(switches: Switches) -> None:
    """Turn the switches. An operator without a deterministic version warns and runs all the same, as trainers ask for it (`warn_only`)."""
    torch.backends.cudnn.benchmark = switches.cudnn_benchmark
    torch.backends.cudnn.deterministic = switches.cudnn_deterministic
    torch.backends.cudnn.allow_tf32 = switches.cudnn_allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = switches.matmul_allow_tf32
    torch.use_deterministic_algorithms(switches.deterministic_algorithms, warn_only=True)
