"""The values of an answer: `Estimate` and its parts, with the very names of the JSON (schema/estimate-1.schema.json).

Immutable msgspec structs: they are made by `pipeline`, written by `reports`, and read back from files.
All sizes are bytes (`int`).
"""

from __future__ import annotations

import msgspec

from vramcast.verdict import Verdict


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked about."""

    name: str
    source: str
    parameters: int
    trainable_parameters: int


class GpuSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The card the answer holds for."""

    name: str
    memory_bytes: int
    usable_bytes: int
    """What a single process can have: memory less what driver and firmware keep."""
    compute_capability: str | None
    context_bytes: int
    """CUDA context and loaded kernels of the process."""


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """The peak instant: how much, and when."""

    allocated_bytes: int
    """`torch.cuda.max_memory_allocated`."""
    reserved_bytes: int
    """`torch.cuda.max_memory_reserved`."""
    device_bytes: int
    """What nvidia-smi shows for the process: reserved bytes and the CUDA context."""
    low_bytes: int
    high_bytes: int
    """Range of `device_bytes`: that of torch's allocator from `calibration`, and that of the CUDA context, at the same end at once."""
    step: int
    phase: str
    module: str
    operator: str


class PhasePeak(msgspec.Struct, frozen=True, kw_only=True):
    """The peak of one phase of the run."""

    name: str
    """`load`, `first step`, `steady step`, `validation` …"""
    allocated_bytes: int
    reserved_bytes: int
    device_bytes: int
    binding: bool
    """The phase that sets the peak of the run."""


class ModuleShare(msgspec.Struct, frozen=True, kw_only=True):
    """What one module holds at the peak instant, its children included."""

    name: str
    """Fully qualified name; the empty name is the model itself."""
    bytes: int
    components: dict[str, int]


class OperatorShare(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of one operator hold at the peak instant."""

    name: str
    bytes: int


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder live -> allocated -> reserved -> process -> device."""

    name: str
    bytes: int
    decides: bool
    """Out of memory is decided on this rung."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Which measured cases the range and the confidence come from."""

    residuals: str
    """In words: `409 measured cases: convolutional networks, fp32 training`."""
    cases: int
    comparable: bool
    """They are of the workload's own kind of network, mode and precision; otherwise the range is widened."""
    coverage: float
    """Share of measured cases that such ranges are made to hold."""


class CaveatNote(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was not modelled, or only assumed."""

    message: str
    bound_bytes: int | None = None


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """How a size is distributed over a data set; each figure is one that occurs."""

    median: int
    percentile_99: int
    largest: int


class NamedSample(msgspec.Struct, frozen=True, kw_only=True):
    """One image or sequence, by the name of its file or its place in one."""

    name: str
    size: int
    """Objects in it; tokens, of sequences; pixels, of images without labels."""


class DataSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a data set says about the worst batch."""

    source: str
    kind: str
    """`yolo`, `coco`, `image-folder` or `lengths`."""
    samples: int
    """Images or sequences."""
    objects: Spread | None
    """Labelled objects per image."""
    heights: Spread | None
    widths: Spread | None
    """Of images, in pixels."""
    lengths: Spread | None
    """Of sequences, in tokens."""
    mosaic: float
    mixup: float
    """Chances of these augmentations."""
    sets: dict[str, object]
    """Fields of the workload that the data set set, with the values of the worst batch: targets, image, seq."""
    chance_per_epoch: float | None
    """That an epoch meets a batch as full as the one forecast; None where the data set sets nothing."""
    objects_per_batch: float | None
    """Expectation of the objects in the fullest image of a batch, after mosaic and mixup."""
    objects_per_epoch: float | None
    """The same of an epoch."""
    objects_at_most: int | None
    """What no mixing can exceed."""
    largest: tuple[NamedSample, ...]
    """The fullest images, longest sequences or largest images, at most five."""
    malformed: int
    """Labels, images and lines that could not be read."""
    malformed_examples: tuple[str, ...]
    notes: tuple[str, ...]


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `components` add up to `peak.device_bytes`, byte for byte."""

    schema: str = "vramcast/estimate-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    """The workload's fields as used, presets applied."""
    preset: dict[str, object]
    """What the preset set, and nothing else."""
    data: DataSummary | None = None
    """What the data set says; None where none was named."""
    gpu: GpuSummary | None
    peak: Peak
    phases: tuple[PhasePeak, ...]
    components: dict[str, int]
    """Component -> bytes at the peak instant; `reserved_unallocated` and `cuda_context` included."""
    ladder: tuple[Rung, ...]
    modules: tuple[ModuleShare, ...]
    operators: tuple[OperatorShare, ...]
    bytes_per_target: int | None
    """What one more object per image costs at the peak; None where targets play no role."""
    fits: bool | None
    """The forecast itself lies within what the card has; None when no card was named."""
    verdict: Verdict | None = None
    """What is said of it, in view of the confidence; None when no card was named."""
    headroom_bytes: int | None
    """Usable bytes less device bytes; negative when it does not fit."""
    confidence: float | None
    """Share of comparable measured cases that would fit; None when no card was named, or when a lower bound does."""
    calibration: Calibration
    out_of_memory: str | None
    """The request that fails on this card, in words."""
    caveats: tuple[CaveatNote, ...]
