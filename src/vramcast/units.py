"""Bytes and counts: parsed from what people type, rounded, and printed. 1 GiB = 2**30; a byte count is an `int`."""

from __future__ import annotations

import re

from vramcast.errors import WorkloadError

KIB = 2**10
MIB = 2**20
GIB = 2**30

_BYTES = {"": 1, "b": 1, "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9, "t": 10**12, "tb": 10**12,
          "kib": KIB, "mib": MIB, "gib": GIB, "tib": 2**40}  # fmt: skip
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}
_NUMBER = re.compile(r"\s*([0-9][0-9_]*(?:\.[0-9]+)?|\.[0-9]+)\s*([a-z]*)\s*", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Read `24GiB`, `16 GB`, `512mib` or a plain number of bytes.

    Raises:
        WorkloadError: the text is not a size.
    """
    return _parse(text, _BYTES, "a size such as 24GiB, 16GB or 512MiB")


def parse_count(text: str) -> int:
    """Read `100M` or `1.3B`, counts of parameters: k, M, B and T are powers of ten.

    Raises:
        WorkloadError: the text is not a count.
    """
    return _parse(text, _COUNTS, "a count such as 100M or 1.3B")


def _parse(text: str, factors: dict[str, int], legal: str) -> int:
    match = _NUMBER.fullmatch(text)
    factor = factors.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise WorkloadError(f"{text!r} is not {legal}.")
    whole, _, fraction = match[1].replace("_", "").partition(".")
    # Integer arithmetic: a float would lose bytes above 2**53.
    scaled: int = int(whole or "0") * factor + int(fraction or "0") * factor // 10 ** len(fraction)
    return scaled


def round_up(value: int, multiple: int) -> int:
    """Return the smallest multiple of `multiple` that is at least `value`."""
    return -(-value // multiple) * multiple


def format_gib(size: int, digits: int = 2) -> str:
    """Print bytes as GiB: `format_gib(3 * 2**30) == "3.00 GiB"`."""
    return f"{size / GIB:.{digits}f} GiB"


def format_bytes(size: int) -> str:
    """Print bytes in the largest binary unit that leaves a number of at least one."""
    magnitude = abs(size)
    for unit, factor in (("TiB", 2**40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if magnitude >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size} B"


def format_count(count: int) -> str:
    """Print a count of parameters: `25.6 M`."""
    for unit, factor in (("T", 10**12), ("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if abs(count) >= factor:
            return f"{count / factor:.1f} {unit}"
    return str(count)
