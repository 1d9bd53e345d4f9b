"""Drawings as files: which endings can be drawn, and a matplotlib figure written whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vramcast.atomic_file import write_atomically
from vramcast.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = ("png", "svg", "pdf")
_STYLE: Any = {"svg.hashsalt": "vramcast"}
"""A fixed salt, so that the same figures give the same file."""
_DATELESS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
"""What keeps the time of day out of a file (matplotlib 3.11, `savefig(metadata=)` of each backend)."""


def check_drawing(path: Path, purpose: str) -> None:
    """Refuse a drawing that cannot be made, before anything is forecast; `purpose` begins the message: "Drawing a sweep".

    Raises:
        UsageError: the file's ending is none of those that can be drawn.
        MissingExtraError: matplotlib is not installed.
    """
    if _ending(path) not in ENDINGS:
        raise UsageError(f"'{path}' cannot be drawn. Let it end in {', '.join(f'.{ending}' for ending in ENDINGS)}.")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("matplotlib", "plots", purpose) from error


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's ending names.

    Raises:
        OutputError: the path cannot be written.
    """
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(_STYLE):
        figure.savefig(buffer, format=_ending(path), dpi=150, metadata=_DATELESS[_ending(path)])
    write_atomically(path, lambda file: file.write(buffer.getvalue()))


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
