"""What tensors hold when most is allocated.

The peak of a process is where the last segment was reserved, which may be a small request of an optimizer's step after activations have
gone, with their segments still cached. What made the allocator reserve so much is seen where most is allocated.
"""

from __future__ import annotations

from vramcast import breakdown
from vramcast.answer import Estimate
from vramcast.footprint import ModuleShare


def fullest_event(estimate: Estimate) -> int:
    """Return the event after which most is allocated."""
    return int(estimate.timeline.allocated.argmax())


def components_at_fullest(estimate: Estimate) -> dict[str, int]:
    """Return component -> bytes when most is allocated; what is reserved beyond that at the peak is `reserved_unallocated`.

    They add up to `peak.device_bytes`.
    """
    context = estimate.components[breakdown.CONTEXT]
    held = breakdown.components(estimate.trace, estimate.timeline, fullest_event(estimate), context)
    held[breakdown.UNALLOCATED] = 0
    return held | {breakdown.UNALLOCATED: estimate.peak.device_bytes - sum(held.values())}


def modules_at_fullest(estimate: Estimate) -> tuple[ModuleShare, ...]:
    """Return what each module holds when most is allocated, its children included, largest first."""
    return breakdown.modules(estimate.trace, estimate.timeline, fullest_event(estimate))


def phase_at_fullest(estimate: Estimate) -> str:
    """Return the phase of the step in which most is allocated: `forward`, `backward`, `optimizer` …"""
    return breakdown.step_phase_module_operator(estimate.trace, fullest_event(estimate))[1]
