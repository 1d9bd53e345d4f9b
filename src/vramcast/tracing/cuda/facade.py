"""`torch.cuda` and its relatives while a forecast runs: present, idle, and of the asked capability.

Code written for a GPU asks `torch.cuda.is_available()`, opens streams, reads memory statistics and enters autocast.
On a machine without CUDA these would fail or turn themselves off; here they answer as a card would.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch

from vramcast.tracing.recorder import Recorder


class IdleStream:
    """A stream or event on which nothing ever waits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    def __enter__(self) -> IdleStream:
        return self

    def __exit__(self, *exception: object) -> None: ...

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: None


def _answers(recorder: Recorder, capability: tuple[int, int], clear_autocast: Callable[[], None]) -> list[tuple[object, str, Any]]:
    def nothing(*args: Any, **kwargs: Any) -> None:
        return None

    def zero(*args: Any, **kwargs: Any) -> int:
        return 0

    def yes(*args: Any, **kwargs: Any) -> bool:
        return True

    cuda = torch.cuda
    return [
        (cuda, "is_available", yes), (cuda, "device_count", lambda: 1), (cuda, "current_device", zero), (cuda, "is_initialized", yes),
        (cuda, "is_bf16_supported", lambda *args, **kwargs: capability >= (8, 0)), (cuda, "get_device_capability", lambda *args: capability),
        (cuda, "get_device_name", lambda *args: "vramcast"), (cuda, "synchronize", nothing), (cuda, "set_device", nothing),
        (cuda, "empty_cache", recorder.empty_cache), (cuda, "reset_peak_memory_stats", nothing), (cuda, "manual_seed", nothing),
        (cuda, "manual_seed_all", nothing), (cuda, "memory_allocated", zero), (cuda, "memory_reserved", zero),
        (cuda, "max_memory_allocated", zero), (cuda, "max_memory_reserved", zero), (cuda, "Stream", IdleStream), (cuda, "Event", IdleStream),
        (cuda, "stream", IdleStream), (cuda, "current_stream", IdleStream), (cuda, "device", IdleStream), (cuda, "_lazy_init", nothing),
        (cuda, "get_rng_state", lambda *args: torch.get_rng_state()), (cuda, "set_rng_state", nothing),
        (torch.amp.autocast_mode.torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch.amp.grad_scaler.torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch, "clear_autocast_cache", clear_autocast),
    ]  # fmt: skip


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
