"""Image files: found in folders, and their sizes read from headers. No pixel is decoded.

Only regular files are opened: a pipe would never end. Folders are walked once each, whatever links point where.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from vramcast.data.interface import Malformed, Progress, printable
from vramcast.errors import InvalidFileError, MissingExtraError
from vramcast.trace import Column

ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
"""Pillow's readers of these endings, and no others: some formats start programs (EPS runs Ghostscript; Pillow 12, EpsImagePlugin.py)."""
DEEPEST = 32
"""Folders within folders."""
LARGEST_COUNT = 2_000_000
"""Files of one data set."""
LARGEST_SIDE = 2**20
"""Pixels; what is larger is a broken header."""
LARGEST_HEADER_COUNT = 200_000
"""Headers read; of larger data sets, so many evenly spaced."""


def find_files(folder: Path, endings: Collection[str] = ENDINGS) -> list[Path]:
    """Return every file below a folder that ends so, by default every image, sorted by path.

    Raises:
        InvalidFileError: there are more than anybody trains on.
    """
    found: list[Path] = []
    for path in _files(folder, DEEPEST, set()):
        if path.suffix.lower() in endings:
            found.append(path)
            if len(found) > LARGEST_COUNT:
                raise InvalidFileError(f"'{folder}' holds more than {LARGEST_COUNT:,} files. Name a smaller folder.")
    return sorted(found)


def _files(folder: Path, levels: int, walked: set[tuple[int, int]]) -> Iterator[Path]:
    """List the regular files below a folder; each folder once, so that links in a circle end."""
    try:
        identity = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    if levels == 0 or (identity.st_dev, identity.st_ino) in walked or len(walked) > LARGEST_COUNT:
        return
    walked.add((identity.st_dev, identity.st_ino))
    for entry in entries:
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:
            continue
        if is_folder:
            yield from _files(Path(entry.path), levels - 1, walked)
        elif is_file:
            yield Path(entry.path)


def is_regular(path: Path) -> bool:
    """Whether a path is a file that ends, or a link to one."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # a name too long, or with a null byte in it
        return False


def read_sizes(images: Sequence[Path], malformed: Malformed, progress: Progress) -> tuple[Column, tuple[str, ...]]:
    """Return height and width of each image (two zeros where they are not known), and what has to be said about that.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    sizes = np.zeros((len(images), 2), np.int64)
    step, absent = -(-len(images) // LARGEST_HEADER_COUNT) or 1, 0
    for index in range(0, len(images), step):
        if index % 1000 == 0:
            progress(f"reading image headers, {index:,} of {len(images):,}")
        size = _size(images[index])
        if size is None and not os.path.lexists(images[index]):
            absent += 1
        elif size is None:
            malformed.add(images[index].name, "no readable image")
        else:
            sizes[index] = size
    notes = [f"Sizes were read of one image in {step}."] if step > 1 else []
    notes += [f"{absent:,} images are listed, but not there: their labels count, their sizes are not known."] if absent else []
    return sizes, tuple(notes)


def _size(path: Path) -> tuple[int, int] | None:
    """Return height and width, as the header has them."""
    try:
        # Each plug-in registers its reader; only some are loaded before they are needed (Pillow 13, Image.py `preinit`).
        from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("Pillow", "data", "Reading the sizes of images") from error
    if not is_regular(path):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_FORMATS) as image:
                width, height = image.size
    except Exception:  # what a broken header makes a reader raise is no fixed set
        return None
    return (height, width) if 0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE else None


def names_of(paths: Sequence[Path], root: Path) -> tuple[str, ...]:
    """Return what the files are called, from the data set's root on where they lie below it."""
    prefix = f"{root}{os.sep}"
    return tuple(printable(str(path).removeprefix(prefix)) for path in paths)
