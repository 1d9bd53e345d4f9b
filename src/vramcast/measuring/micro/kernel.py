"""A kernel that is run by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Call = Callable[[], Any]
"""Runs the kernel once and returns its outputs."""

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Kernel:
    """What is run, in words that name it in a table."""

    kind: str
    shape: str
    dtype: str
    """`fp32`, `tf32`, `fp16`, `bf16`."""
    layout: str
    direction: str
    make: Callable[[str], Call]
    """Make the inputs on a device, and return the call."""

    @property
    def key(self) -> tuple[str, ...]:
        """What tells it from every other kernel."""
        return self.kind, self.shape, self.dtype, self.layout, self.direction
