"""What a sweep varies: ranges and lists, as they are written and as they are run through."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vramcast.errors import WorkloadError

Values = tuple[Any, ...]
_RANGE = re.compile(r"(\d+):(\d+)(?::(\d+))?")
LARGEST_GRID = 1_000_000
"""Points of a sweep; more is a typing error."""


def parse_values(text: str, convert: Callable[[str], Any]) -> Values:
    """Read `1:64`, `320:1280:32` (both ends included), `16,32,64` or a mixture of them; `convert` reads each single value.

    Raises:
        WorkloadError: a range runs backwards, has no step, or there is nothing.
    """
    values: list[Any] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        span = _RANGE.fullmatch(part)
        values += [convert(part)] if span is None else [convert(str(number)) for number in _range(part, span)]
    if not values:
        raise WorkloadError(f"{text!r} holds no value. A list is 16,32,64; a range 1:64 or 320:1280:32, both ends included.")
    return tuple(dict.fromkeys(values))


def _range(text: str, span: re.Match[str]) -> Iterable[int]:
    first, last, step = int(span[1]), int(span[2]), int(span[3] or 1)
    if first > last:
        raise WorkloadError(f"{text!r} runs backwards: {first} is more than {last}.")
    if step < 1:
        raise WorkloadError(f"{text!r} has a step of {step}; it must be at least 1.")
    if (last - first) // step >= LARGEST_GRID:
        raise WorkloadError(f"{text!r} holds {(last - first) // step + 1:,} values; a sweep takes at most {LARGEST_GRID:,} points.")
    return range(first, last + 1, step)


def check_grid(lengths: Sequence[int]) -> int:
    """Return how many points a grid has.

    Raises:
        WorkloadError: too many.
    """
    points = 1
    for length in lengths:
        points *= length
        if points > LARGEST_GRID:
            raise WorkloadError(f"the sweep has more than {LARGEST_GRID:,} points. Take larger steps, or fewer axes.")
    return points
