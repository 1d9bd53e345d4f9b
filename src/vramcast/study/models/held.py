"""What a forecast's fullest instant is made of: by module, by operator, by resolution, and by kind of convolution."""

from __future__ import annotations

import numpy as np

from vramcast import breakdown
from vramcast.answer import Estimate
from vramcast.reports.shares import largest_apart
from vramcast.solvers.fullest import components_at_fullest, fullest_event, modules_at_fullest, phase_at_fullest
from vramcast.study.compare import most_held
from vramcast.study.models.row import Holder, ModeFigures
from vramcast.study.module_facts import largest_images
from vramcast.trace import Component, OperatorCall, Trace

_NAMED = 3
_EARLY = 4
"""Feature maps whose sides are at least the image's over this are early: what a stem leaves to the first stage."""
_STATES = (Component.WEIGHTS, Component.BUFFERS, Component.GRADIENTS, Component.OPTIMIZER_STATES)
"""What has the size of the parameters, wherever they work."""


def figures_of(estimate: Estimate, image: tuple[int, int] | None) -> ModeFigures:
    """Return what a study keeps of a forecast."""
    trace, peak, event = estimate.trace, estimate.peak, fullest_event(estimate)
    modules = largest_apart(modules_at_fullest(estimate))[:_NAMED]
    operators = breakdown.operators(trace, estimate.timeline, event)[:_NAMED]
    batch = estimate.workload["batch"]
    assert isinstance(batch, int)
    return ModeFigures(
        batch=batch, allocated_bytes=peak.allocated_bytes, reserved_bytes=peak.reserved_bytes,
        device_bytes=peak.device_bytes, low_bytes=peak.low_bytes, high_bytes=peak.high_bytes, phase=phase_at_fullest(estimate),
        components={name: size for name, size in components_at_fullest(estimate).items() if size},
        activations_bytes=most_held(trace, Component.ACTIVATIONS),
        modules=tuple(Holder(name=share.name, bytes=share.bytes) for share in modules),
        operators=tuple(Holder(name=share.name, bytes=share.bytes) for share in operators),
        early_bytes=_held_by(estimate, _early_modules(trace, image)), depthwise_bytes=_held_by(estimate, _depthwise_modules(trace)),
    )  # fmt: skip


def _held_by(estimate: Estimate, names: set[str]) -> int:
    """Return what the modules of these names hold when most is allocated, states of the size of parameters aside."""
    trace = estimate.trace
    live = trace.live_blocks(fullest_event(estimate))
    is_named = np.array([name in names for name in trace.modules], bool)
    chosen = live[is_named[trace.block_modules[live]] & ~np.isin(trace.components[live], _STATES)] if len(is_named) else live[:0]
    return int(estimate.timeline.block_sizes[chosen].sum())


def _early_modules(trace: Trace, image: tuple[int, int] | None) -> set[str]:
    """Return the modules that work on large feature maps: their own, or, where they convolve nothing, those of the module around them."""
    if image is None:
        return set()
    sides = largest_images(trace)
    found = set()
    for name in trace.modules:
        around = name
        while around and around not in sides:
            around = around.rpartition(".")[0]
        if around and min(sides[around]) * _EARLY >= min(image):
            found.add(name)
    return found


def _depthwise_modules(trace: Trace) -> set[str]:
    """Return the blocks around depthwise convolutions, with all that is in them."""
    around = {trace.modules[int(trace.operation_modules[number])].rpartition(".")[0] for number, call in trace.calls.items() if _is_depthwise(call)}
    return {name for name in trace.modules if any(name == block or name.startswith(f"{block}.") for block in around if block)}


def _is_depthwise(call: OperatorCall) -> bool:
    """Whether each channel is convolved by itself."""
    read = call.inputs[0] if call.operator == "convolution" and call.inputs else None
    groups = call.attributes.get("groups")
    return read is not None and isinstance(groups, int) and groups > 1 and len(read.shape) > 1 and groups == read.shape[1]
