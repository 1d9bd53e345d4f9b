"""The tensors of a file of weights, without their values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file."""

    name: str
    shape: tuple[int, ...]
    kind: str
    """The format's name of its type: `BF16`, `F8_E4M3`, `Q4_K`."""
    size: int
    """Its bytes, as they come to the card."""

    @property
    def elements(self) -> int:
        """How many numbers it stands for; packed formats of safetensors files hold several in one element."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """What a file of weights says of itself."""

    name: str
    tensors: tuple[StoredTensor, ...]
    settings: Mapping[str, object] = field(default_factory=dict)
    """GGUF: numbers and texts of the header, by key; of lists, their lengths."""
