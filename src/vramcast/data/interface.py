"""What every kind of data set gives: a `DataSet`, with what could not be read counted rather than raised.

A kind is one file in this folder and one line in `registry.py`. It imports its package (Pillow, PyYAML, polars) only inside `read`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vramcast.trace import Column

Progress = Callable[[str], None]

_EXAMPLES = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class DataSet:
    """A summary of a data set: one row per sample in every column, None where the data set does not tell."""

    source: str
    """What was read, as it was given, printable."""
    kind: str
    """`yolo`, `coco`, `image-folder` or `lengths`."""
    names: tuple[str, ...]
    """Per sample: the file's name, or where in a file it stands; printable."""
    objects: Column | None = None
    """Per image: labelled objects."""
    sizes: Column | None = None
    """Per image: height and width in pixels; two zeros where they could not be read."""
    lengths: Column | None = None
    """Per sequence: tokens."""
    malformed: int = 0
    """Labels, images and lines that could not be read as what they should be."""
    malformed_examples: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What was left out or assumed, each a sentence."""
    mosaic: float | None = None
    """Chance that a training image is a mosaic of four; None: as the workload's preset has it."""
    mixup: float | None = None
    """Chance that a training image is two of them laid over each other; None: as the preset has it."""

    def __len__(self) -> int:
        return len(self.names)


class Kind(Protocol):
    """One kind of data set."""

    name: str
    looks_like: str
    """How such a data set is laid out, for messages."""

    def matches(self, path: Path) -> bool:
        """Whether an existing path is a data set of this kind, by its name and what lies in it."""

    def read(self, path: Path, progress: Progress) -> DataSet:
        """Read it.

        Raises:
            InvalidFileError: nothing in it can be used, or it is larger than anything meant for this.
            MissingExtraError: the package that reads it is absent.
        """


@dataclass(slots=True)
class Malformed:
    """Counts what could not be read, and remembers the first few."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, where: str, why: str) -> None:
        """Count one; `where` names a file, line or entry."""
        self.count += 1
        if len(self.examples) < _EXAMPLES:
            self.examples.append(printable(f"{where}: {why}"))


def printable(text: str) -> str:
    """Return a name that came with a data set as text that can be shown: no control characters, no halves of surrogate pairs."""
    return "".join(character if character.isprintable() else "?" for character in text)
