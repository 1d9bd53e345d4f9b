"""Finds a card: by name, by size, or the one in this machine."""

from __future__ import annotations

import functools
import re

import msgspec

from vramcast.errors import AmbiguousNameError, UnknownNameError, UsageError
from vramcast.gpu import naming, table
from vramcast.gpu.present import PresentCard, present_cards
from vramcast.gpu.spec import GpuSpec
from vramcast.units import parse_bytes

AUTO = "auto"
"""The name of the card in this machine."""

_SIZE = re.compile(r"\s*[0-9._]+\s*[kmgt]i?b\s*", re.IGNORECASE)
"""A size needs its unit, so that `4090` is a card and not 4090 bytes."""
_HINT = "`vramcast gpus` lists every card; a size such as 24GiB will also do."


@functools.cache
def load() -> tuple[GpuSpec, ...]:
    """Return every card known, in the order of `gpus.toml`."""
    return table.read()


def find(name: str) -> GpuSpec:
    """Find a card of the catalogue; case, spaces, hyphens and the brand do not matter.

    Raises:
        UnknownNameError: no card answers to the name.
        AmbiguousNameError: several do, such as `a100` with 40 and with 80 GB.
    """
    found = _index().get(naming.key(name), ())
    if not found:
        raise UnknownNameError("card", name, (naming.short_name(card.name) for card in load()), hint=_HINT)
    if len(found) > 1:
        raise AmbiguousNameError("card", name, (naming.short_name(card.name) for card in found))
    return found[0]


def resolve(text: str) -> GpuSpec:
    """Turn what a user wrote into a card: a name, a size such as `24GiB`, or `auto`.

    Raises:
        UnknownNameError: no card answers to the name.
        AmbiguousNameError: several do.
        UsageError: a size of nothing, or `auto` on a machine without an NVIDIA card.
    """
    if text.strip().lower() == AUTO:
        return _present()
    if _SIZE.fullmatch(text):
        return _bare(text)
    return find(text)


@functools.cache
def _index() -> dict[str, tuple[GpuSpec, ...]]:
    index: dict[str, tuple[GpuSpec, ...]] = {}
    for card in load():
        for key in naming.keys(card):
            index[key] = (*index.get(key, ()), card)
    return index


def _bare(text: str) -> GpuSpec:
    size = parse_bytes(text)
    if size < 1:
        raise UsageError(f"a card of {text.strip()} holds nothing. Name a size such as 24GiB.")
    return GpuSpec(name=text.strip(), vendor="", memory_bytes=size, usable_bytes=size, source="size given by the user, taken as usable")


def _present() -> GpuSpec:
    cards = present_cards()
    if not cards:
        raise UsageError(f"{AUTO!r} found no NVIDIA card in this machine. Name one instead, such as 'rtx 4090': {_HINT}")
    return _described(cards[0])


def _described(present: PresentCard) -> GpuSpec:
    """Join what the driver says with what the catalogue knows of the card nearest in memory among those of this name."""
    origin = "read from the card in this machine (NVML: total less reserved)"
    namesakes = _index().get(naming.key(present.name), ())
    unknown = GpuSpec(name=present.name, vendor="nvidia", memory_bytes=present.memory_bytes, usable_bytes=present.usable_bytes, source="")
    nearest = min(namesakes, key=lambda card: abs(card.memory_bytes - present.memory_bytes), default=unknown)
    return msgspec.structs.replace(
        nearest,
        name=present.name,
        usable_bytes=present.usable_bytes,
        usable_is_measured=True,
        compute_capability=present.compute_capability,
        source="; ".join(filter(None, (origin, nearest.source))),
    )
