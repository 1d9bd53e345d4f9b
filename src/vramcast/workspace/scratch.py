"""`Scratch`: one block of hidden memory, and when within its operator call it lives.

Points in time within a call are counted in the call's own allocations: 0 is before the first, k after the k-th. A call
may launch several kernels one after the other; scratch of the same launch lives together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vramcast.trace import Component, OperatorCall
from vramcast.workspace.stack import Stack


@dataclass(frozen=True, slots=True)
class Scratch:
    """A block that a kernel needs while it runs."""

    size: int
    """Requested bytes."""
    after: int = 0
    """Allocated after this many of the call's allocations (all of them, if it has fewer)."""
    until: int | None = None
    """Freed after this many of the call's allocations; None: after the last."""
    launch: int = 0
    """Which of the call's kernels it serves. At the same point in time, one launch ends before the next begins."""
    through: int | None = None
    """The last kernel it serves; None: `launch` alone."""
    once: str | None = None
    """Only the first call that brings this key has the block."""
    stays: bool = False
    """Never freed: a library keeps it."""
    component: Component = Component.WORKSPACE
    """What it counts as; a copy that torch itself makes is a temporary."""
    empties_cache: bool = False
    """The cache is emptied once it is freed."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a call runs."""

    stack: Stack
    is_backward: bool
    """On autograd's thread rather than the program's."""
    free_bytes: int
    """Device memory less what is allocated before the call."""


Rule = Callable[[OperatorCall, Site], tuple[Scratch, ...]]
"""What scratch a call takes."""
