"""The `Estimate` that Python code gets: the answer under the names of the JSON, with the trace and the timeline it was read from."""

from __future__ import annotations

import os
from pathlib import Path

from vramcast import breakdown, footprint, presets
from vramcast.calibration.distribution import COVERAGE
from vramcast.calibration.interval import device_range
from vramcast.confidence import Standing
from vramcast.footprint import Calibration, CaveatNote, GpuSummary, ModelSummary, Peak
from vramcast.gpu.context import ContextRange
from vramcast.gpu.spec import GpuSpec
from vramcast.timeline import OutOfMemory, Timeline
from vramcast.trace import Trace
from vramcast.units import format_gib
from vramcast.verdict import verdict_of, verdict_words
from vramcast.version import __version__
from vramcast.workload import Workload


class Estimate(footprint.Estimate, frozen=True, kw_only=True):
    """An answer, and what it was drawn from.

    Every field of the JSON is an attribute of the same name: `estimate.peak.reserved_bytes`, `estimate.components`, `estimate.fits`.
    """

    trace: Trace
    """What was asked for and given back, scratch of kernels included; not in the JSON."""
    timeline: Timeline
    """What the allocator made of it: NumPy columns of bytes, one row per event; not in the JSON."""

    @property
    def estimate(self) -> footprint.Estimate:
        """The answer alone, as it is written to files."""
        return footprint.Estimate(**{name: getattr(self, name) for name in footprint.Estimate.__struct_fields__})

    def to_json(self) -> str:
        """Return the JSON text that `--format json` writes; sizes in bytes."""
        from vramcast.reports.json import encode

        return encode(self.estimate).decode()

    def save_snapshot(self, path: str | os.PathLike[str]) -> None:
        """Write a memory snapshot for pytorch.org/memory_viz.

        Raises:
            OutputError: the path cannot be written; nothing half-written is left there.
        """
        from vramcast.snapshot import save_snapshot

        save_snapshot(self.trace, self.timeline, path)

    def save_timeline(self, path: str | os.PathLike[str]) -> None:
        """Draw the run event by event, as `vramcast timeline` does, into a PNG, SVG or PDF file.

        Raises:
            UsageError: the path ends in none of those.
            MissingExtraError: matplotlib is not installed.
            OutputError: the path cannot be written; nothing half-written is left there.
        """
        from vramcast.reports.timeline_plot import save_timeline

        save_timeline(self, Path(path))

    def __repr__(self) -> str:
        """Two lines: what was asked about, and the answer."""
        asked = f"{self.model.source}:{self.model.name} {self.workload['mode']}" + (f" on {self.gpu.name}" if self.gpu else "")
        verdict = "no card named" if self.fits is None else verdict_words(self.fits, self.confidence)
        peak = f"peak {format_gib(self.peak.device_bytes)}, reserved {format_gib(self.peak.reserved_bytes)}"
        return f"<Estimate: {asked}\n  {verdict}; {peak}, in {self.peak.phase} of step {self.peak.step}>"


def answer(
    trace: Trace, timeline: Timeline, workload: Workload, card: GpuSpec | None, context: ContextRange, standing: Standing,
    shortage: OutOfMemory | None = None,
) -> Estimate:  # fmt: skip
    """Read the answer off a trace and its timeline; `shortage` is the request that fails on the card, None where all can be served."""
    near = standing.comparable
    event = timeline.peak_event()
    step, phase, module, operator = breakdown.step_phase_module_operator(trace, event)
    device = timeline.peak_reserved + context.typical
    low, high = device_range(timeline.peak_reserved, context, near.distribution)
    fits = None if card is None else shortage is None
    driver = card.memory_bytes - card.usable_bytes if card else 0
    peak = Peak(
        allocated_bytes=timeline.peak_allocated, reserved_bytes=timeline.peak_reserved, device_bytes=device, low_bytes=low, high_bytes=high,
        step=step, phase=phase, module=module, operator=operator,
    )  # fmt: skip
    return Estimate(
        vramcast=__version__,
        model=ModelSummary(
            name=trace.subject.name, source=trace.subject.source, parameters=trace.subject.parameters,
            trainable_parameters=trace.subject.trainable_parameters,
        ),
        workload=workload.as_dict(),
        preset=presets.in_force(workload.as_dict()),
        gpu=_gpu(card, context),
        peak=peak,
        phases=breakdown.phase_peaks(trace, timeline, context.typical),
        components=breakdown.components(trace, timeline, event, context.typical),
        ladder=breakdown.ladder(trace, timeline, event, context.typical, driver),
        modules=breakdown.modules(trace, timeline, event),
        operators=breakdown.operators(trace, timeline, event),
        bytes_per_target=None,
        fits=fits,
        verdict=verdict_of(fits, standing.confidence),
        headroom_bytes=None if card is None else card.usable_bytes - device,
        confidence=standing.confidence,
        calibration=Calibration(residuals=near.words, cases=near.cases, comparable=near.is_same_cell, coverage=COVERAGE),
        out_of_memory=None if shortage is None else _failure(trace, shortage),
        caveats=_caveats(trace, timeline, workload),
        trace=trace,
        timeline=timeline,
    )  # fmt: skip


def _caveats(trace: Trace, timeline: Timeline, workload: Workload) -> tuple[CaveatNote, ...]:
    left_out = () if workload.preset is None else presets.find(workload.preset).left_out
    notes = [CaveatNote(message=caveat.message, bound_bytes=caveat.bound_bytes) for caveat in trace.caveats]
    if timeline.refused:
        notes.append(CaveatNote(message=f"The card is so full that {timeline.refused} convolutions get no workspace and run on slower engines."))
    return (*notes, *(CaveatNote(message=f"Preset {workload.preset}: {habit}") for habit in left_out))


def _gpu(card: GpuSpec | None, context: ContextRange) -> GpuSummary | None:
    if card is None:
        return None
    capability = card.compute_capability
    return GpuSummary(
        name=card.name,
        memory_bytes=card.memory_bytes,
        usable_bytes=card.usable_bytes,
        compute_capability=None if capability is None else f"{capability[0]}.{capability[1]}",
        context_bytes=context.typical,
    )


def _failure(trace: Trace, shortage: OutOfMemory) -> str:
    """Say which request fails, as torch's message would, and where."""
    step, phase, module, operator = breakdown.step_phase_module_operator(trace, shortage.event)
    where = f" in module {module}" if module else ""
    return f"{operator}{where} ({phase}, step {step}) asks for {format_gib(shortage.requested)} with {format_gib(shortage.reserved)} reserved already"
