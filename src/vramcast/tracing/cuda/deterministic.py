"""Deterministic mode, as far as torch's own Python code asks for it.

`torch.nn.functional.interpolate` (bilinear, trilinear) and `max_pool3d` then run as the simple operators they are made of, each of which keeps
what its backward needs (torch 2.13, nn/functional.py: `_upsample_linear_vec`, `max_pool3d_with_indices` of torch/_decomp/decompositions.py). What
kernels do otherwise is said by `workspace/determinism.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.utils.deterministic

_memory: Any = torch.utils.deterministic
"""A module with properties, which its type does not show."""


@contextlib.contextmanager
def deterministic_algorithms(is_wanted: bool) -> Iterator[None]:
    """Within, torch is in deterministic mode if that is wanted, and otherwise as it was; operators that cannot be so run all the same.

    New memory is not filled, which torch does in this mode by default: it takes time and no bytes.
    """
    if not is_wanted:
        yield
        return
    mode, fills = torch.get_deterministic_debug_mode(), _memory.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True, warn_only=True)
    _memory.fill_uninitialized_memory = False
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        _memory.fill_uninitialized_memory = fills
