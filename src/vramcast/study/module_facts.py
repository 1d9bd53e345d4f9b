"""What a module is: its class, its parameters, and the size of the feature maps it works on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vramcast.sources.interface import Model
from vramcast.trace import OperatorCall, Trace
from vramcast.workload import Workload

_SPATIAL = 4
"""Dimensions of a batch of feature maps: N, C, H, W."""


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """One module, its children included."""

    kind: str
    """Its class."""
    parameters: int
    image: tuple[int, int] | None
    """Height and width of the largest feature map that its convolutions read; None where it has none."""


def facts_of(model: Model | str, workload: Workload, trace: Trace) -> Mapping[str, ModuleFacts]:
    """Return the facts of each module by its name; none of a number of parameters."""
    if isinstance(model, str):
        return {}
    from vramcast.sources.building import build_on_meta  # torch

    images = largest_images(trace)
    return {
        name: ModuleFacts(type(module).__name__, sum(parameter.numel() for parameter in module.parameters()), images.get(name))
        for name, module in build_on_meta(model, workload.classes).named_modules()
    }


def largest_images(trace: Trace) -> dict[str, tuple[int, int]]:
    """Return, for each module, the largest feature map that its convolutions read."""
    found: dict[str, tuple[int, int]] = {}
    for operation, call in trace.calls.items():
        image = _image(call)
        if image is None:
            continue
        for name in _with_parents(trace.modules[int(trace.operation_modules[operation])]):
            if math.prod(image) > math.prod(found.get(name, (0, 0))):
                found[name] = image
    return found


def _image(call: OperatorCall) -> tuple[int, int] | None:
    """Return height and width of what a convolution's forward reads."""
    read = call.inputs[0] if call.operator == "convolution" and call.inputs else None
    return None if read is None or len(read.shape) != _SPATIAL else (read.shape[2], read.shape[3])


def _with_parents(name: str) -> Iterator[str]:
    yield name
    while name:
        name = name.rpartition(".")[0]
        yield name
