"""Horizontal bars drawn with characters."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from vramcast.reports.glyphs import Glyphs
from vramcast.reports.palette import SWATCHES


def bar(fraction: float, width: int, glyphs: Glyphs) -> str:
    """Draw `fraction` (0 to 1) of `width` cells; anything above zero shows at least the smallest mark."""
    steps = len(glyphs.parts) + 1
    filled = max(round(fraction * width * steps), 1 if fraction > 0 else 0)
    whole, part = divmod(filled, steps)
    return glyphs.full * whole + (glyphs.parts[part - 1] if part else "")


def card_bar(components: Mapping[str, int], usable: int, width: int, glyphs: Glyphs) -> Text:
    """Draw the card filled with `components` (bytes each): what stays free, or what the card does not have.

    `usable`: bytes of the card. The bar is as long as the larger of need and card.
    """
    need = sum(components.values())
    scale = width / max(need, usable, 1)
    # However little is missing, it shows.
    end_of_card = min(round(usable * scale), width - (need > usable))
    line = Text(no_wrap=True)
    reached, drawn = 0, 0
    for name, size in sorted(components.items(), key=lambda item: -item[1]):
        reached += size
        until = round(reached * scale)
        line.append(glyphs.full * (min(until, end_of_card) - min(drawn, end_of_card)), style=SWATCHES[name].colour)
        line.append(glyphs.beyond * (max(until, end_of_card) - max(drawn, end_of_card)), style=SWATCHES[name].colour)
        drawn = until
    line.append(glyphs.free * (width - drawn), style="dim")
    return line
