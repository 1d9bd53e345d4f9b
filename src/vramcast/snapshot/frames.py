"""Stack frames: a forecast has none, so module, operator and phase are written as if they were; and read back.

A forecast's stack, innermost frame first (a flame graph draws it from the last one up):

    owner:0:layer1.0.conv1         only where the block belongs to another module than the one that ran
    operator:0:convolution
    module:0:layer1.0.conv1        the module that ran, then those around it
    module:0:layer1.0
    module:0:layer1
    phase:3:forward                the line is the step

A real stack has files and functions instead; `read_real_stack` says what is taken from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from vramcast.trace import Phase

RECORDED = Phase("recorded", -1)
"""Phase of a real snapshot's events: it does not tell forward from backward."""
UNKNOWN = "unknown"
"""Operator of an event that has no stack."""

_ATEN = re.compile(r"at::_ops::(\w+)::(?:call|redispatch)")
"""What the generated dispatcher functions are called in C++ stacks: torchgen/gen.py, torch 2.13."""
_ALLOCATING = re.compile(r"empty|new_empty|resize_|zeros|full")
"""ATen operators that another operator calls to get its output."""
_TORCH_FILE = re.compile(r"(?:site-packages|dist-packages|pytorch)/torch/")


class Frame(msgspec.Struct, frozen=True):
    """One frame of a stack, as in the file."""

    filename: str
    line: int
    name: str


EMPTY_CACHE = Frame("torch/cuda/memory.py", 0, "empty_cache")
"""Where cached segments are given back: torch 2.13."""


class Site(NamedTuple):
    """Who acted: what a stack says."""

    operator: str
    module: str
    phase: Phase
    owner: str
    """The module that the allocated block belongs to."""


def write_stack(site: Site) -> list[Frame]:
    """Return the frames of a forecast's event."""
    frames = [Frame("owner", 0, site.owner)] if site.owner != site.module else []
    frames.append(Frame("operator", 0, site.operator))
    frames.extend(Frame("module", 0, name) for name in _outwards(site.module))
    frames.append(Frame("phase", site.phase.step, site.phase.name))
    return frames


def read_forecast_stack(frames: Sequence[Frame]) -> Site:
    """Read what `write_stack` wrote."""
    first = {frame.filename: frame for frame in reversed(frames)}
    missing = Frame("", -1, "")
    module = first.get("module", missing).name
    phase = first.get("phase", missing)
    owner = first["owner"].name if "owner" in first else module
    return Site(first["operator"].name if "operator" in first else UNKNOWN, module, Phase(phase.name, phase.line), owner)


def read_real_stack(frames: Sequence[Frame]) -> Site:
    """Read a stack recorded on a GPU, as far as it tells.

    Operator: with C++ frames (`stacks="all"`, torch's default) the innermost ATen operator that is not a mere
    allocation; otherwise the innermost function. Module: the innermost Python function outside torch, as `file:function`
    (backward runs on a thread of its own, whose stack has none: the module is then unknown, the empty name).
    """
    aten = [match[1] for frame in frames if (match := _ATEN.search(frame.name))]
    operator = next((name for name in aten if not _ALLOCATING.match(name)), None)
    if operator is None:
        operator = aten[0] if aten else frames[0].name if frames else UNKNOWN
    module = next((_function(frame) for frame in frames if frame.filename.endswith(".py") and not _TORCH_FILE.search(frame.filename)), "")
    return Site(operator, module, RECORDED, module)


def is_empty_cache(frames: Sequence[Frame]) -> bool:
    """Whether the stack is inside `torch.cuda.empty_cache()`."""
    return any(frame.name == EMPTY_CACHE.name for frame in frames)


def _outwards(module: str) -> Iterator[str]:
    """List a module's name, then those of the modules around it, up to the outermost that has a name."""
    yield module
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _function(frame: Frame) -> str:
    return f"{frame.filename.replace(chr(92), '/').rpartition('/')[2].removesuffix('.py')}:{frame.name}"
