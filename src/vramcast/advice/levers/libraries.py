"""What allocator and cuDNN take beyond the tensors: told from the same trace."""

from __future__ import annotations

from vramcast.advice.lever import Change, Lever, Situation
from vramcast.allocator.config import AllocatorConfig


def _expandable(situation: Situation) -> tuple[Change, ...] | str:
    given = situation.workload.allocator
    if AllocatorConfig.parse(given).expandable_segments:
        return "they are on already"
    options = ",".join([*(part for part in given.split(",") if part.strip() and "expandable_segments" not in part), "expandable_segments:True"])
    change = Change(
        "expandable segments", situation.workload.with_fields(allocator=options), f"PYTORCH_CUDA_ALLOC_CONF={options}", f"--allocator {options}"
    )
    return (change,)


def _benchmark(situation: Situation) -> tuple[Change, ...] | str:
    if not situation.workload.cudnn_benchmark:
        return "cuDNN does not benchmark"
    code = "torch.backends.cudnn.benchmark = False"
    return (Change("cuDNN benchmark off", situation.workload.with_fields(cudnn_benchmark=False), code, "--no-cudnn-benchmark"),)


EXPANDABLE_SEGMENTS = Lever("allocator", "expandable segments", computation="", risk="", effort="one environment variable", changes=_expandable)
BENCHMARK_OFF = Lever(
    "benchmark", "cuDNN benchmark off", computation="convolutions may take slower algorithms", risk="", effort="one line", changes=_benchmark
)
