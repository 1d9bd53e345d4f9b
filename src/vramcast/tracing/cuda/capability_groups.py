"""Compute capabilities at which the same kernels are chosen while a program is traced, so that one trace does for all of them.

Kernels are chosen by `attention_choice.py`; its borders are those here. What kernels take as scratch differs further, by capability
and multiprocessors, but that is added to a finished trace.
"""

from __future__ import annotations

Capability = tuple[int, int]

_GROUPS: tuple[tuple[Capability, Capability, Capability], ...] = (
    ((5, 0), (6, 9), (6, 0)),
    ((7, 0), (7, 9), (7, 5)),
    ((8, 0), (8, 5), (8, 0)),
    ((8, 6), (8, 9), (8, 6)),
    ((10, 0), (10, 0), (10, 0)),
    ((10, 3), (10, 3), (10, 0)),
    ((12, 0), (12, 1), (8, 6)),
)
"""From, to, and the capability that stands for them. Consumer chips from Ampere to Blackwell have the same small shared memory."""


def stands_for(capability: Capability) -> Capability:
    """Return the capability whose choices are those of this one: itself where no other is like it."""
    return next((chosen for low, high, chosen in _GROUPS if low <= capability <= high), capability)
