"""The values of advice, with the very names of the JSON. All sizes are bytes (`int`)."""

from __future__ import annotations

import msgspec

from vramcast.footprint import CaveatNote, DataSummary, GpuSummary, ModelSummary, Peak, PhasePeak
from vramcast.verdict import Verdict


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a lever costs, in words; empty where nothing."""

    computation: str
    risk: str
    """What may come out otherwise: digits, statistics, accuracy."""
    effort: str


class Advised(msgspec.Struct, frozen=True, kw_only=True):
    """One lever, or two together, and the forecast of what is left."""

    name: str
    levers: tuple[str, ...]
    freed_bytes: int
    """Less device memory at the peak; negative where it takes more."""
    peak: Peak
    phase: str
    """Phase of the run that sets the peak then."""
    fits: bool | None
    verdict: Verdict | None
    """As in an estimate: whether it makes the workload fit."""
    confidence: float | None
    headroom_bytes: int | None
    costs: tuple[Cost, ...]
    """One per lever."""
    code: tuple[str, ...]
    """What applies it: one per lever."""
    options: tuple[str, ...]
    """The options of `vramcast estimate` that forecast it: one per lever."""
    workload: dict[str, object]
    """The fields that are changed."""
    why_not: str | None
    """Why it gives nothing; None where it does."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A lever that was not forecast."""

    lever: str
    reason: str


class Advice(msgspec.Struct, frozen=True, kw_only=True):
    """What would make a workload fit, or free most: by the bytes freed."""

    schema: str = "vramcast/advice-1"
    vramcast: str
    """Version that made it."""
    model: ModelSummary
    workload: dict[str, object]
    gpu: GpuSummary | None
    fits: bool | None
    """As it is; None where no card was named."""
    verdict: Verdict | None
    """As in an estimate."""
    confidence: float | None
    headroom_bytes: int | None
    data: DataSummary | None
    """What the data set says; None where none was named."""
    peak: Peak
    phases: tuple[PhasePeak, ...]
    components: dict[str, int]
    advised: tuple[Advised, ...]
    """Single levers and pairs of the best; those that free most first."""
    not_applicable: tuple[LeftOut, ...]
    failed: tuple[LeftOut, ...]
    """Levers whose forecast did not come about."""
    caveats: tuple[CaveatNote, ...]

    @property
    def can_fit(self) -> bool | None:
        """Whether it fits, or something makes it fit; None where no card was named."""
        return None if self.fits is None else self.fits or any(advised.fits for advised in self.advised)
