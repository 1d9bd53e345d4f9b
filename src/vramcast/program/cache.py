"""Emptying the allocator's cache between the parts of a run."""

from __future__ import annotations

import torch

from vramcast.workload import Workload

CROWDED = 0.5
"""Share of the card's memory: `_clear_memory(0.5)` before validation (ultralytics 8.3.160 to 8.4.190, engine/trainer.py)."""


def empty_before_validation(workload: Workload) -> None:
    """Empty the cache as the workload's trainer does before it validates."""
    if workload.habits.empties_cache == "always":
        torch.cuda.empty_cache()
    elif workload.habits.empties_cache == "if-crowded":
        empty_cache_if_crowded()


def empty_cache_if_crowded() -> None:
    """Empty the cache where more than `CROWDED` of the card is reserved."""
    if torch.cuda.is_available() and torch.cuda.memory_reserved() > CROWDED * torch.cuda.get_device_properties(0).total_memory:
        torch.cuda.empty_cache()
