"""Reads `gpus.toml`, the table of every card, and applies its rules for usable memory."""

from __future__ import annotations

from importlib import resources

import msgspec

from vramcast.gpu.spec import GpuSpec
from vramcast.units import GIB, MIB


class _Reserve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What firmware, ECC and driver keep of cards that nobody measured."""

    name: str
    inline_ecc: bool
    """ECC bits are stored in the memory itself and take a sixteenth of it."""
    share: float
    mib: int
    source: str

    def usable(self, nominal: int) -> int:
        """Return the bytes of `nominal` that are left to processes."""
        corrected = nominal * 15 // 16 if self.inline_ecc else nominal
        return corrected - self.mib * MIB - int(nominal * self.share)


class _Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table."""

    name: str
    gib: int
    sms: int | None = None
    usable_mib: int | None = None
    measured: str = ""
    reserve: str = ""
    """Takes the place of the family's rule."""
    aliases: tuple[str, ...] = ()


class _Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Cards of one architecture."""

    title: str
    vendor: str
    reserve: str
    source: str
    cards: tuple[_Card, ...]
    compute_capability: tuple[int, int] | None = None


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reserve: tuple[_Reserve, ...]
    family: tuple[_Family, ...]


def read() -> tuple[GpuSpec, ...]:
    """Return every card of `gpus.toml`, in its order."""
    text = resources.files("vramcast.gpu").joinpath("gpus.toml").read_bytes()
    table = msgspec.toml.decode(text, type=_Table)
    rules = {rule.name: rule for rule in table.reserve}
    return tuple(_spec(card, family, rules[card.reserve or family.reserve]) for family in table.family for card in family.cards)


def _spec(card: _Card, family: _Family, rule: _Reserve) -> GpuSpec:
    nominal = card.gib * GIB
    is_measured = card.usable_mib is not None
    usable = rule.usable(nominal) if card.usable_mib is None else card.usable_mib * MIB
    origin = f"usable memory measured: {card.measured}" if is_measured else f"usable memory by rule {rule.name!r} ({rule.source})"
    return GpuSpec(
        name=card.name,
        vendor=family.vendor,
        memory_bytes=nominal,
        usable_bytes=usable,
        compute_capability=family.compute_capability,
        sm_count=card.sms,
        aliases=card.aliases,
        source=f"{family.source}; {origin}",
        usable_is_measured=is_measured,
    )
