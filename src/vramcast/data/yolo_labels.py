"""One YOLO label file: how many objects it holds.

As ultralytics reads them (8.4.190, data/utils.py `verify_image_label`): a line is an object, `class x y width height` in shares of the
image, or a class and the corners of a polygon, or a box and keypoints; lines said twice count once. ultralytics leaves out every image with a
line that breaks these rules; here the other lines of that image count, so that the count is never below what is trained on.
"""

from __future__ import annotations

import math
from pathlib import Path

from vramcast.data.image_files import is_regular
from vramcast.data.interface import Malformed

LARGEST_FILE = 2**24
"""Bytes read of one label file."""
_SLACK = 0.01
"""By how much coordinates may lie outside the image."""
_LONGEST_LINE = 2**16


def count_objects(path: Path, name: str, malformed: Malformed) -> int:
    """Return the objects in a label file; 0 where there is no such file, which means an image of background."""
    if not is_regular(path):
        return 0
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        malformed.add(name, error.strerror or "cannot be read")
        return 0
    if len(content) > LARGEST_FILE:
        malformed.add(name, f"longer than {LARGEST_FILE >> 20} MiB, read up to there")
        content = content[:LARGEST_FILE]
    seen: set[bytes] = set()
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped in seen:
            continue
        problem = _problem(stripped)
        if problem:
            malformed.add(f"{name}, line {number}", problem)
        else:
            seen.add(stripped)
    return len(seen)


def _problem(line: bytes) -> str | None:
    """Say what is wrong with a line; None where nothing is."""
    if len(line) > _LONGEST_LINE:
        return f"{len(line):,} characters long"
    columns = line.split()
    if len(columns) < 5:
        return f"{len(columns)} columns of at least 5"
    try:
        values = [float(column) for column in columns]
    except ValueError:
        return "not a line of numbers"
    if not all(map(math.isfinite, values)):
        return "a number that is not finite"
    if values[0] < 0 or values[0] % 1:
        return f"class {values[0]:g}"
    if any(not -_SLACK <= value <= 1 + _SLACK for value in values[1:5]):
        return "coordinates outside the image (they are shares of it, from 0 to 1)"
    return None
