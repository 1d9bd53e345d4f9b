"""Values drawn for tensors of which nothing is known, so that code that looks at them goes on.

The distribution makes selections grow exactly as shapes do: a mask selects every second element whatever its length, and
the same shape always gets the same values, so that every image of a batch and every step sees the same.
"""

from __future__ import annotations

import torch

LARGEST_DRAWN = 2**25
"""Elements beyond which everything is zero."""

STATEMENT = (
    "Values that no forecast can know were drawn (seeded: floats standard normal, every second boolean true, integers zero, single values zero, "
    "`all` true) where code looks at them:"
)


def draw(tensor: torch.Tensor) -> torch.Tensor:
    """Return values for a device tensor: same shape and type, on the CPU.

    A single element is zero, which is what `GradScaler` needs to see: no infinity.
    """
    shape = tuple(tensor.shape)
    if tensor.numel() == 1 or tensor.numel() > LARGEST_DRAWN:
        return torch.zeros((), dtype=tensor.dtype).expand(shape)
    if tensor.dtype == torch.bool:
        every_second = torch.zeros(tensor.numel(), dtype=torch.bool)
        every_second[::2] = True
        return every_second.reshape(shape)
    if tensor.is_floating_point():
        return torch.randn(shape, generator=torch.Generator().manual_seed(torch.initial_seed())).to(tensor.dtype)
    return torch.zeros((), dtype=tensor.dtype).expand(shape)
