"""What a process using torch holds on the card outside torch's allocator: CUDA context, loaded kernels, library-private memory.

The driver sets memory aside for every thread that a card can hold at once (local memory and stacks), so the context grows with
`multiprocessors * resident threads of each`. A straight line over that number,

    bytes = a + b * resident threads            (a about 35 MiB, b about 2.3 kB)

comes to within 22 % of all 16 processes of `context.toml`, from a T4 (130 MiB) to a B200 (710 MiB), also of those whose chip is left
out of the fit. The rest is the variety of kernels a process loads, the driver and the CUDA version.

With eager module loading (`CUDA_MODULE_LOADING=EAGER`, and every torch before 1.13) all kernels of torch and of the libraries are on the
card from the start. How much that adds is seen in processes of that time, less what the line gives for their card: RTX 3090 1.13 GiB
(pytorch issue 49877), V100 0.93 GiB (transformers, perf_train_gpu_one, 2022), RTX 2080 Ti 0.6 GiB with CUDA 10.1 (issue 49877); torch's
own kernels alone add 0.35 GiB (pull request 86509).

Known limits: Linux; NCCL, CUDA graphs and further processes on the card are not in it; nothing was measured on AMD cards or before
compute capability 7.5, whose range is wider.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import msgspec

from vramcast.gpu.spec import GpuSpec
from vramcast.units import GIB, MIB

_MEASURED_BAND = (0.8, 1.25)
"""Processes on one and the same chip differ by this much: A100 409 to 503 MiB, T4 104 to 135 MiB."""
_FITTED_BAND = (0.7, 1.4)
"""Wider than what the processes show when their own chip is left out of the fit (0.78 to 1.12), for 8 chips are few."""
_UNMEASURED_BAND = (0.5, 2.0)
"""Architectures with no process in the table: the line's slope was not seen there."""
_OLDEST_FITTED = (7, 5)
_EAGER_LOW, _EAGER, _EAGER_HIGH = GIB * 35 // 100, GIB, GIB * 13 // 10
"""What eager loading adds: torch's kernels alone, the middle of the processes read, and a fifth more than the largest of them."""


@dataclass(frozen=True, slots=True)
class ContextRange:
    """Bytes outside torch's allocator, for one process."""

    low: int
    typical: int
    high: int
    source: str
    is_measured: bool
    """Processes on this very chip (same compute capability and multiprocessors) were read."""


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One process whose memory was read on a real card."""

    card: str
    compute_capability: tuple[int, int]
    sms: int
    process_gib: float
    allocated_gib: float
    unallocated_mib: float
    source: str

    @property
    def outside_bytes(self) -> float:
        """What the process held outside torch's allocator."""
        return (self.process_gib - self.allocated_gib) * GIB - self.unallocated_mib * MIB

    @property
    def chip(self) -> tuple[tuple[int, int], int]:
        """Cards of one chip have the same context."""
        return self.compute_capability, self.sms


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    threads_per_sm: dict[str, int]
    process: tuple[Process, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """`intercept + slope * resident threads`, in bytes."""

    intercept: float
    slope: float

    def at(self, threads: int) -> float:
        """Return the bytes for a card that can hold `threads` at once."""
        return self.intercept + self.slope * threads


def context_bytes(gpu: GpuSpec | None, *, loads_eagerly: bool = False) -> ContextRange:
    """Return what a process holds on this card before and beside torch's allocator; None: on a card nobody named.

    A card of a chip in `context.toml` gets the median of its processes, a card with known multiprocessors the fitted line,
    any other the span of the whole table.
    """
    lazy = _of_lazy(gpu)
    if not loads_eagerly:
        return lazy
    source = f"{lazy.source}; eager module loading as in processes of torch before 1.13"
    return ContextRange(lazy.low + _EAGER_LOW, lazy.typical + _EAGER, lazy.high + _EAGER_HIGH, source, is_measured=False)


def _of_lazy(gpu: GpuSpec | None) -> ContextRange:
    if gpu is None or gpu.compute_capability is None or gpu.sm_count is None:
        return _of_any_card()
    capability, sms = gpu.compute_capability, gpu.sm_count
    same = _by_chip(_table().process).get((capability, sms))
    if same is not None:
        names = ", ".join(dict.fromkeys(process.card for process in _table().process if process.chip == (capability, sms)))
        return _around(statistics.median(same), _MEASURED_BAND, f"{len(same)} process(es) read on {names}", is_measured=True)
    threads = resident_threads(capability, sms)
    if threads is None:
        return _of_any_card()
    source = f"line over resident threads, fitted on {len(_by_chip(_table().process))} chips from compute capability 7.5 to 12.0"
    if capability < _OLDEST_FITTED:
        return _around(fit(processes()).at(threads), _UNMEASURED_BAND, f"{source}; none of this age was measured", is_measured=False)
    return _around(fit(processes()).at(threads), _FITTED_BAND, source, is_measured=False)


def processes() -> tuple[Process, ...]:
    """Return the processes read on real cards."""
    return _table().process


def resident_threads(capability: tuple[int, int], sms: int) -> int | None:
    """Return the most threads a card can hold at once; None where the architecture is not known."""
    per_sm = _table().threads_per_sm.get(f"{capability[0]}.{capability[1]}")
    return None if per_sm is None else per_sm * sms


def fit(sample: Iterable[Process]) -> Line:
    """Fit the line by least squares on the median of each chip, so that a chip counts once however often it was read."""
    medians = {chip: statistics.median(figures) for chip, figures in _by_chip(sample).items()}
    threads = [resident_threads(*chip) or 0 for chip in medians]
    slope, intercept = statistics.linear_regression(threads, list(medians.values()))
    return Line(intercept, slope)


def _around(typical: float, band: tuple[float, float], source: str, *, is_measured: bool) -> ContextRange:
    return ContextRange(int(typical * band[0]), int(typical), int(typical * band[1]), source, is_measured)


def _of_any_card() -> ContextRange:
    figures = [process.outside_bytes for process in processes()]
    medians = [statistics.median(chip) for chip in _by_chip(processes()).values()]
    source = f"span of {len(figures)} processes on {len(medians)} NVIDIA chips: nothing is known of this card"
    high = max(figures) * _MEASURED_BAND[1]
    return ContextRange(int(min(figures) * _MEASURED_BAND[0]), int(statistics.median(medians)), int(high), source, is_measured=False)


def _by_chip(sample: Iterable[Process]) -> dict[tuple[tuple[int, int], int], list[float]]:
    chips: dict[tuple[tuple[int, int], int], list[float]] = {}
    for process in sample:
        chips.setdefault(process.chip, []).append(process.outside_bytes)
    return chips


@functools.cache
def _table() -> _Table:
    text = resources.files("vramcast.gpu").joinpath("context.toml").read_bytes()
    return msgspec.toml.decode(text, type=_Table)
