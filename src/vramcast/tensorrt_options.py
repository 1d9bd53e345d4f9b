"""What only the backend `tensorrt` asks: the fields of `Workload.tensorrt`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from vramcast.errors import WorkloadError

if TYPE_CHECKING:
    from vramcast.workload import Workload

BindingType = Literal["fp32", "engine"]
Quantization = Literal["none", "int8", "fp8"]
LARGEST_CONTEXTS = 1000


class TensorRtOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an engine is built and run. The defaults are those of `trtexec` (TensorRT 10)."""

    quantization: Quantization = "none"
    """Layers with integer or fp8 kernels run in them, the others in the workload's precision: `fp16` and `int8` are `trtexec --fp16 --int8`."""
    contexts: int = 1
    """Execution contexts at once: each has activation, scratch and persistent memory and bindings of its own; weights are shared."""
    profile: tuple[int, int, int] | None = None
    """Smallest, best and largest batch of the engine's optimization profile: memory is that of the largest. None: a static batch."""
    workspace: int | None = None
    """Bytes a layer's scratch may have (`MemoryPoolType.WORKSPACE`); None: any number, as by default."""
    bindings: BindingType = "fp32"
    """Type of floating-point inputs and outputs: fp32, which is reformatted inside, or the engine's own precision."""

    def __post_init__(self) -> None:
        if not 1 <= self.contexts <= LARGEST_CONTEXTS:
            raise WorkloadError(f"tensorrt.contexts is {self.contexts}; it must be at least 1 and at most {LARGEST_CONTEXTS:,}.")
        if self.profile is not None and not 1 <= self.profile[0] <= self.profile[1] <= self.profile[2]:
            raise WorkloadError(f"tensorrt.profile is {_text(self.profile)}; legal is min:opt:max with 1 <= min <= opt <= max.")
        if self.workspace is not None and self.workspace < 0:
            raise WorkloadError(f"tensorrt.workspace is {self.workspace}; it must be at least 0 bytes.")


def check_tensorrt(workload: Workload) -> None:
    """Refuse what an engine does not do.

    Raises:
        WorkloadError: two fields exclude each other; the message names both.
    """
    options, precision = workload.tensorrt, workload.precision
    if workload.backend != "tensorrt":
        return  # which the options do not concern: a workload may be asked of several backends
    if workload.is_training:
        raise WorkloadError("mode 'train' and backend 'tensorrt' exclude each other: an engine runs inference alone. Take mode 'infer'.")
    if precision.startswith("amp-"):
        raise WorkloadError(f"precision {precision!r} and backend 'tensorrt' exclude each other: autocast is torch's; take {precision[4:]!r}.")
    if workload.new_tokens is not None:
        raise WorkloadError(f"new_tokens {workload.new_tokens} and backend 'tensorrt' exclude each other: an engine runs one forward pass.")
    if workload.weights is not None:
        raise WorkloadError(
            f"weights {workload.weights!r} and backend 'tensorrt' exclude each other: torch's libraries pack them; see tensorrt.quantization."
        )
    if options.profile is not None and workload.batch > options.profile[2]:
        raise WorkloadError(f"batch {workload.batch} and tensorrt.profile {_text(options.profile)} exclude each other: its largest is smaller.")


def _text(profile: tuple[int, int, int]) -> str:
    return ":".join(map(str, profile))
