"""Why a lever gives nothing: where the peak is instead, read off the two forecasts."""

from __future__ import annotations

from vramcast.answer import Estimate
from vramcast.breakdown import CONTEXT, UNALLOCATED
from vramcast.footprint import PhasePeak
from vramcast.reports.palette import SWATCHES
from vramcast.solvers.fullest import components_at_fullest, phase_at_fullest
from vramcast.units import MIB, format_bytes

_SHARE = 100
"""What frees less than this fraction (a hundredth) of the peak gives nothing."""
_NO_TENSORS = (UNALLOCATED, CONTEXT)


def why_not(before: Estimate, after: Estimate) -> str | None:
    """Return why a lever frees nothing worth speaking of; None where it frees a hundredth of the peak or more."""
    least = max(before.peak.device_bytes // _SHARE, MIB)
    if before.peak.device_bytes - after.peak.device_bytes >= least:
        return None
    return _moved(before, after, least) or _elsewhere(before, after, least) or _cached(before, after, least) or _held(before, after, least)


def _moved(before: Estimate, after: Estimate, least: int) -> str | None:
    """The phase that bound falls, but another binds then."""
    old, new = _binding(before), _binding(after)
    then = next((phase for phase in after.phases if phase.name == old.name), None)
    if new.name == old.name or then is None or old.allocated_bytes - then.allocated_bytes < least:
        return None
    return f"the {old.name} allocates {format_bytes(old.allocated_bytes - then.allocated_bytes)} less, but then the {new.name} sets the peak"


def _elsewhere(before: Estimate, after: Estimate, least: int) -> str | None:
    """It acts in a phase that does not set the peak."""
    binding = _binding(before).name
    then = {phase.name: phase.allocated_bytes for phase in after.phases}
    freed = {phase.name: phase.allocated_bytes - then.get(phase.name, phase.allocated_bytes) for phase in before.phases}
    best = max(freed, key=lambda name: freed[name])
    if best == binding or freed[best] < least or freed[best] <= 2 * freed.get(binding, 0):
        return None
    return f"the peak is in the {binding}; the {best} allocates {format_bytes(freed[best])} less"


def _cached(before: Estimate, after: Estimate, least: int) -> str | None:
    """Less is allocated, but segments of other sizes are cached."""
    freed = before.peak.allocated_bytes - after.peak.allocated_bytes
    if freed < least:
        return None
    return f"{format_bytes(freed)} less is allocated, but the allocator reserves as much: what is freed lies in segments that are asked for anew"


def _held(before: Estimate, after: Estimate, least: int) -> str:
    """Name what grows instead, or what fills the peak."""
    held, then = components_at_fullest(before), components_at_fullest(after)
    change = {name: then.get(name, 0) - size for name, size in held.items()}
    grown, shrunk = max(change, key=lambda name: change[name]), min(change, key=lambda name: change[name])
    phase = _binding(before).name
    if change[grown] >= least:
        moved = phase_at_fullest(before), phase_at_fullest(after)
        where = f"most is held in {moved[1]} instead of {moved[0]}" if moved[0] != moved[1] else f"in the {phase}"
        less = f", {format_bytes(-change[shrunk])} less as {_label(shrunk)}" if -change[shrunk] >= MIB else ""
        return f"{where}, {format_bytes(change[grown])} more as {_label(grown)}{less}"
    largest = sorted((name for name in held if name not in _NO_TENSORS), key=lambda name: -held[name])[:2]
    filling = " and ".join(f"{_label(name)} ({format_bytes(held[name])})" for name in largest if held[name])
    return f"the peak, in the {phase}, is filled with {filling}, which it hardly changes"


def _binding(estimate: Estimate) -> PhasePeak:
    return next((phase for phase in estimate.phases if phase.binding), estimate.phases[-1])


def binding_phase(estimate: Estimate) -> str:
    """Return the phase of the run that sets the peak."""
    return _binding(estimate).name if estimate.phases else ""


def _label(component: str) -> str:
    return "unused segments" if component == UNALLOCATED else SWATCHES[component].label
