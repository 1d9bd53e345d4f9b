"""What people call a card: every spelling that should lead to it, reduced to one key."""

from __future__ import annotations

import re

from vramcast.gpu.spec import GpuSpec

_BRANDS = ("nvidia", "amd", "geforce", "radeon", "instinct", "tesla", "jetson")
_SERIES = ("rtx", "gtx", "rx")
_OPTIONAL = ("gpu", "generation", "quadro")
_BRAND = re.compile("|".join(_BRANDS))


def key(text: str) -> str:
    """Reduce a name to its letters and digits without the brand: `NVIDIA GeForce RTX 4090`, `rtx-4090` and `RTX4090` are one."""
    return _BRAND.sub("", re.sub(r"[^a-z0-9]", "", text.lower()))


def short_name(name: str) -> str:
    """Leave out the brand: `NVIDIA GeForce RTX 4090` -> `RTX 4090`."""
    return _without(name, _BRANDS)


def keys(card: GpuSpec) -> frozenset[str]:
    """Return every key the card answers to: its name and aliases, with and without `GPU`, `Generation`, `Quadro` and the series."""
    names = {card.name, *card.aliases}
    names |= {_without(name, _OPTIONAL) for name in names}
    names |= {_without(name, _SERIES) for name in names}
    return frozenset(key(name) for name in names)


def _without(name: str, words: tuple[str, ...]) -> str:
    return " ".join(word for word in name.split() if word.lower() not in words)
