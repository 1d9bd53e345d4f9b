"""The next size up in a model's family, read off the names of its source."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vramcast.sources.interface import Model
from vramcast.sources.registry import SOURCES

_LETTERS = "ntsmbclexhg"
"""ultralytics 8.4: n s m l x, with t s m c e in YOLOv9 and b between m and l in YOLOv10; torchvision 0.28: t s m b l h. In each family
the letters stand in this order."""
_WORDS = ("atto", "femto", "pico", "nano", "tiny", "small", "medium", "base", "large", "xlarge", "huge", "giant")
"""timm 1.0 and torchvision 0.28; a family has those it has."""
_SCALED = re.compile(r"^(?P<before>yoloe?-?v?\d+)(?P<letter>[a-z])(?P<after>(?:-.*)?)$")
_PARTS = re.compile(r"([_\-.])")


def next_size(model: Model) -> Model | None:
    """Return the next larger model of the family; None where names tell of none.

    Sizes are letters (`yolo11n`, `vit_b_16`) or words (`convnext_tiny`); where a name has neither, its first number that another model
    has larger (`resnet50`, `efficientnet_b0`).
    """
    source = SOURCES.get(model.source)
    if source is None:
        return None
    known = set(source.names())
    found = next((name for name in _larger(model.name, known) if name in known), None)
    return None if found is None else source.load(found)


def _larger(name: str, known: set[str]) -> Iterator[str]:
    scaled = _SCALED.match(name)
    if scaled is not None:
        yield from (f"{scaled['before']}{letter}{scaled['after']}" for letter in _after(scaled["letter"], _LETTERS))
        return
    parts = _PARTS.split(name)
    sized = False
    for index, part in enumerate(parts[1:], 1):
        ladder: Sequence[str] = _WORDS if part in _WORDS else _LETTERS if len(part) == 1 else ()
        later = list(_after(part, ladder))
        sized = sized or bool(later) or part == ladder[-1:]
        yield from ("".join([*parts[:index], other, *parts[index + 1 :]]) for other in later)
    if not sized:
        yield from _by_number(name, known)


def _after(part: str, ladder: Sequence[str]) -> Iterator[str]:
    if part in ladder:
        yield from ladder[list(ladder).index(part) + 1 :]


def _by_number(name: str, known: set[str]) -> Iterator[str]:
    """Yield the names that differ in one number, which is larger, the smallest first; numbers from left to right."""
    for match in re.finditer(r"\d+", name):
        pattern = re.compile(re.escape(name[: match.start()]) + r"(\d+)" + re.escape(name[match.end() :]))
        others = [(int(found[1]), other) for other in known if (found := pattern.fullmatch(other)) and int(found[1]) > int(match[0])]
        yield from (other for _, other in sorted(others))
