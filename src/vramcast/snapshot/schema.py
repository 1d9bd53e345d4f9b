"""What is read of a snapshot: the fields, their types, and nothing else. Stacks stay raw: many events share one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeVar

import msgspec

from vramcast.errors import InvalidFileError
from vramcast.snapshot.frames import Frame
from vramcast.trace import Caveat, Component, Subject

Size = Annotated[int, msgspec.Meta(ge=0, le=2**47)]
"""Bytes; more than the address space of a process on x86-64 is no size."""
Stream = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A `cudaStream_t` as `int64_t`; 0 is the default stream."""

Shape = TypeVar("Shape")


class Entry(msgspec.Struct, frozen=True):
    """One action of the allocator."""

    action: str
    addr: int = 0
    size: Size = 0
    stream: Stream = 0
    frames: Any = None
    category: str | None = None
    device_free: int = 0
    user_metadata: Any = None
    """The text that `torch.cuda.memory._set_memory_metadata` set on the thread that acted (torch 2.13); see `marks.py`."""


class Block(msgspec.Struct, frozen=True):
    """A piece of a segment, in use or not."""

    size: Size
    state: str
    requested_size: Size | None = None
    frames: Any = None


class Segment(msgspec.Struct, frozen=True):
    """Memory got from the driver."""

    address: int
    blocks: Any
    stream: Stream = 0
    device: int = 0
    segment_pool_id: tuple[int, int] = (0, 0)


class Origin(msgspec.Struct, frozen=True):
    """What vramcast adds to the snapshots it writes."""

    subject: Subject
    caveats: tuple[Caveat, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """The whole file. `segments` and `device_traces` are checked piece by piece."""

    device_traces: list[Any]
    segments: list[Any]
    vramcast: Origin | None = None


def checked(value: object, shape: type[Shape], what: str) -> Shape:
    """Return `value` as the struct `shape`; other keys are passed over.

    Raises:
        InvalidFileError: a key is missing or has another type; the message names it, after `what`.
    """
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        raise InvalidFileError(f"{what} is not as PyTorch writes it: {error}.") from None


def checked_list(value: object, what: str) -> list[Any]:
    """Return `value`, which must be a list.

    Raises:
        InvalidFileError: it is something else.
    """
    if not isinstance(value, list):
        raise InvalidFileError(f"{what} is not as PyTorch writes it: expected a list, got {type(value).__name__}.")
    return value


def read_frames(raw: object) -> Sequence[Frame]:
    """Return a stack's frames; none where the snapshot has none.

    Raises:
        InvalidFileError: it is something else.
    """
    if raw is None:
        return ()
    return checked(raw, list[Frame], "a stack")


_CATEGORIES = {component.label: component for component in Component} | {
    "input": Component.INPUTS,
    "temporary": Component.TEMPORARIES,
    "activation": Component.ACTIVATIONS,
    "gradient": Component.GRADIENTS,
    "autograd_detail": Component.TEMPORARIES,
    "parameter": Component.WEIGHTS,
    "optimizer_state": Component.OPTIMIZER_STATES,
}
"""Ours, and those of `Category` in `torch/profiler/_memory_profiler.py` (torch 2.13), which profiler snapshots carry."""


def component_of(category: str | None) -> Component:
    """Return the component a category stands for, OTHER where it is none or unknown."""
    return _CATEGORIES.get(category or "", Component.OTHER)
