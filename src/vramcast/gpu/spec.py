"""What a forecast knows of a card."""

from __future__ import annotations

import msgspec


class GpuSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One card, as data. Sizes in bytes."""

    name: str
    """`NVIDIA GeForce RTX 4090`, as the driver names it."""
    vendor: str
    """`nvidia` or `amd`; empty for a bare size such as `24GiB`."""
    memory_bytes: int
    """Nominal memory."""
    usable_bytes: int
    """What `cudaMemGetInfo` reports as total: nominal memory less what firmware, ECC and driver keep."""
    compute_capability: tuple[int, int] | None = None
    """`(8, 9)`; None where CUDA does not apply or nothing is known."""
    sm_count: int | None = None
    """Streaming multiprocessors (AMD: compute units)."""
    aliases: tuple[str, ...] = ()
    source: str = ""
    """Where the figures were read."""
    usable_is_measured: bool = False
    """`usable_bytes` was read from a real card; otherwise a rule of thumb was applied."""
