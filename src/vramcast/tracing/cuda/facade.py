"""`torch.cuda` and its relatives while a forecast runs: present, idle, and of the asked capability.

Code written for a GPU asks `torch.cuda.is_available()`, opens streams, reads memory statistics and enters autocast.
On a machine without CUDA these would fail or turn themselves off; here they answer as a card would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.checkpoint

from vramcast.program import cache
from vramcast.tracing.cuda.streams import streams_of
from vramcast.tracing.recorder import Recorder

_QUIET = (
    "synchronize", "set_device", "reset_peak_memory_stats", "reset_max_memory_allocated", "manual_seed", "manual_seed_all", "_lazy_init",
    "set_rng_state",
)  # fmt: skip
"""Functions of `torch.cuda` that move no memory."""
_ZERO = ("current_device", "memory_allocated", "memory_reserved", "max_memory_allocated", "max_memory_reserved")


def _always(value: Any) -> Callable[..., Any]:
    """Return a function that answers every call alike. Each name gets one of its own: torch tells functions apart by identity."""
    return lambda *args, **kwargs: value


def _answers(recorder: Recorder, capability: tuple[int, int], clear_autocast: Callable[[], None]) -> list[tuple[object, str, Any]]:
    cuda, common = torch.cuda, torch.cuda.amp.common
    return [
        *((cuda, name, _always(None)) for name in _QUIET),
        *((cuda, name, _always(0)) for name in _ZERO),
        *((cuda, name, answer) for name, answer in streams_of(recorder)),
        (cuda, "is_available", _always(True)),
        (cuda, "is_initialized", _always(True)),
        (cuda, "device_count", _always(1)),
        (cuda, "is_bf16_supported", _always(capability >= (8, 0))),
        (cuda, "get_device_capability", _always(capability)),
        (cuda, "get_device_name", _always("vramcast")),
        (cuda, "empty_cache", recorder.empty_cache),
        (cache, "empty_cache_if_crowded", recorder.empty_cache_if_crowded),
        (cuda, "get_rng_state", lambda *args: torch.get_rng_state()),
        (common, "amp_definitely_not_available", _always(False)),
        (torch.backends.cudnn, "is_acceptable", _always(False)),
        (torch, "clear_autocast_cache", clear_autocast),
        (torch.utils.checkpoint, "_allowed_determinism_checks_to_fns", {"default": _shape_and_type, "none": lambda tensor: None}),
    ]


def _shape_and_type(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    """What checkpointing compares between forward and recomputation, less the device, which is `meta` to hooks that run within an operator."""
    return tensor.shape, tensor.dtype


@contextlib.contextmanager
def cuda_present(recorder: Recorder, capability: tuple[int, int], clear_autocast: Callable[[], None]) -> Iterator[None]:
    """Let CUDA seem present while the context is open; `clear_autocast` is called when the outermost autocast region is left."""
    original_clear = torch.clear_autocast_cache

    def clear() -> None:
        original_clear()
        clear_autocast()

    changes = [(home, name, getattr(home, name), answer) for home, name, answer in _answers(recorder, capability, clear)]
    for home, name, _, answer in changes:
        setattr(home, name, answer)
    try:
        yield
    finally:
        for home, name, original, _ in reversed(changes):
            setattr(home, name, original)
