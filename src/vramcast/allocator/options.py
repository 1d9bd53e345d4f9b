"""The syntax of `PYTORCH_CUDA_ALLOC_CONF`: `key:value,key:[a:1,b:2]` becomes the fields of `AllocatorConfig`.

Keys and legal values are those of `c10/core/AllocatorConfig.{h,cpp}` and `c10/cuda/CUDAAllocatorConfig.h`, torch 2.13.
"""

from __future__ import annotations

import re
from typing import Any

from vramcast.allocator.constants import LARGE_SEGMENT_SIZE, MIN_LARGE_ALLOCATION, ROUNDUP_INTERVALS
from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.units import MIB

OPTIONS = (
    "backend", "expandable_segments", "large_segment_size_mb", "max_split_size_mb", "max_non_split_rounding_mb",
    "roundup_power2_divisions", "garbage_collection_threshold", "per_process_memory_fraction",
)  # fmt: skip
"""Options that decide what is reserved on the device."""
OPTIONS_WITHOUT_EFFECT = (
    "pinned_use_background_threads", "pinned_use_cuda_host_register", "pinned_use_hip_host_register", "pinned_num_register_threads",
    "pinned_reserve_segment_size_mb", "pinned_free_catch_all", "release_lock_on_cudamalloc", "release_lock_on_hipmalloc",
    "graph_capture_record_stream_reuse", "throw_on_cudamalloc_oom",
)  # fmt: skip
"""Options about host memory, locks, graph capture and the moment an error is raised: the device bytes stay the same."""

_ITEM = re.compile(r"(\w+):(\[[^\[\]]*\]|[^,:\[\]]+)(?:,|$)")


def parse_options(text: str) -> dict[str, Any]:
    """Return the fields of `AllocatorConfig` that `text` sets; an empty text sets none.

    Raises:
        UnknownNameError: torch has no such option.
        WorkloadError: an illegal value, or a backend other than `native`.
    """
    values = _split(text)
    if values.get("backend", "native") != "native":
        raise WorkloadError(
            f"allocator backend {values['backend']!r} is not simulated; only backend:native is, torch's caching allocator, "
            "with or without expandable_segments:True. Leave the option out."
        )
    large_segment = _megabytes(values, "large_segment_size_mb", MIN_LARGE_ALLOCATION // MIB + 1) or LARGE_SEGMENT_SIZE
    # As torch does: the large segment is read first, because two other options must not be below it.
    fields = {
        "large_segment_size": large_segment,
        "max_split_size": _megabytes(values, "max_split_size_mb", large_segment // MIB),
        "max_non_split_rounding_size": _megabytes(values, "max_non_split_rounding_mb", large_segment // MIB) or large_segment,
        "expandable_segments": _boolean(values, "expandable_segments"),
        "garbage_collection_threshold": _share(values, "garbage_collection_threshold", open_interval=True),
        "per_process_memory_fraction": _share(values, "per_process_memory_fraction", open_interval=False),
        "roundup_power2_divisions": _divisions(values),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _split(text: str) -> dict[str, str]:
    compact = "".join(text.split())
    values: dict[str, str] = {}
    position = 0
    while position < len(compact):
        match = _ITEM.match(compact, position)
        if match is None:
            raise WorkloadError(f"allocator options {text!r} cannot be read at {compact[position:]!r}; the form is key:value,key:value.")
        if match[1] not in OPTIONS and match[1] not in OPTIONS_WITHOUT_EFFECT:
            raise UnknownNameError("allocator option", match[1], (*OPTIONS, *OPTIONS_WITHOUT_EFFECT), hint=f"Given: {text!r}.")
        values[match[1]] = match[2]
        position = match.end()
    return values


def _illegal(key: str, value: str, legal: str) -> WorkloadError:
    return WorkloadError(f"allocator option {key}:{value} is illegal; {key} takes {legal}.")


def _megabytes(values: dict[str, str], key: str, least: int) -> int | None:
    value = values.get(key)
    if value is None:
        return None
    if not value.isdecimal() or int(value) < least:
        raise _illegal(key, value, f"a whole number of MiB, at least {least}")
    return int(value) * MIB


def _boolean(values: dict[str, str], key: str) -> bool | None:
    value = values.get(key)
    if value not in (None, "True", "False"):
        raise _illegal(key, value, "True or False")
    return None if value is None else value == "True"


def _share(values: dict[str, str], key: str, *, open_interval: bool) -> float | None:
    value = values.get(key)
    if value is None:
        return None
    legal = "a number above 0 and below 1" if open_interval else "a number from 0 to 1"
    try:
        share = float(value)
    except ValueError:
        raise _illegal(key, value, legal) from None
    if not (0 < share < 1 or (not open_interval and share in (0, 1))):
        raise _illegal(key, value, legal)
    return share


def _divisions(values: dict[str, str]) -> tuple[int, ...] | None:
    """Read one number for all sizes, or `[256:1,512:2,>:8]`: a power of two in MiB and the divisions from there to the next."""
    key = "roundup_power2_divisions"
    value = values.get(key)
    if value is None:
        return None
    if not value.startswith("["):
        return (_power_of_two(key, value, value),) * ROUNDUP_INTERVALS
    divisions = [0] * ROUNDUP_INTERVALS
    last = 0
    for position, item in enumerate(value[1:-1].split(",")):
        boundary, colon, number = item.partition(":")
        if not colon:
            raise _illegal(key, value, "one power of two, or a list such as [256:1,512:2,1024:4,>:8]")
        count = 0 if number == "0" else _power_of_two(key, number, value)
        if boundary == ">":
            divisions[last + 1 :] = [count] * (ROUNDUP_INTERVALS - last - 1)
            continue
        last = min(_power_of_two(key, boundary, value).bit_length(), ROUNDUP_INTERVALS) - 1
        # The first entry also holds for everything below it.
        first = 0 if position == 0 else last
        divisions[first : last + 1] = [count] * (last + 1 - first)
    return tuple(divisions)


def _power_of_two(key: str, number: str, value: str) -> int:
    if not number.isdecimal() or int(number).bit_count() != 1:
        raise _illegal(key, value, "powers of two")
    return int(number)
