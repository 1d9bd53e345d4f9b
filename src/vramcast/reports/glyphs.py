"""The characters that drawings are made of, in Unicode or, where the stream cannot encode it, in ASCII."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Glyphs:
    """One character set. Every entry is a single terminal cell wide, except `ellipsis` and `pointer`."""

    full: str
    """A filled cell of a bar."""
    parts: tuple[str, ...]
    """Cells filled from the left by 1/n … (n-1)/n; n is one more than their number."""
    free: str
    """A cell of the card that stays free."""
    beyond: str
    """A cell that the card does not have."""
    dot: str
    """Separates items of a line."""
    times: str
    """Between the sides of an image."""
    dash: str
    """Between the ends of a range."""
    pointer: str
    """Points at the row that decides."""
    ellipsis: str
    """Stands for what was cut off."""


UNICODE = Glyphs(
    full="█", parts=("▏", "▎", "▍", "▌", "▋", "▊", "▉"), free="░", beyond="▓", dot="·", times="×", dash="–", pointer="◀", ellipsis="…"
)  # fmt: skip
ASCII = Glyphs(full="#", parts=(), free=".", beyond="!", dot="|", times="x", dash="-", pointer="<-", ellipsis="...")


def glyphs_for(encoding: str) -> Glyphs:
    """Return the Unicode set if `encoding` (a codec's name) has all of it, else ASCII."""
    needed = "".join("".join(getattr(UNICODE, item.name)) for item in fields(UNICODE))
    try:
        needed.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def shorten(name: str, width: int, glyphs: Glyphs) -> str:
    """Cut `name` to `width` characters from the left: the end of a module's name tells most."""
    if len(name) <= width:
        return name
    kept = width - len(glyphs.ellipsis)
    return glyphs.ellipsis + name[-kept:] if kept > 0 else name[-width:]
