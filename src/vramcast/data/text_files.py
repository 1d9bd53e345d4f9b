"""Text files that came with a data set, read up to a bound."""

from __future__ import annotations

from pathlib import Path

from vramcast.data.image_files import is_regular
from vramcast.errors import InvalidFileError


def read_bounded(path: Path, most: int) -> str:
    """Return a file's text; bytes that are no UTF-8 become question marks.

    Raises:
        InvalidFileError: it cannot be read, is no regular file, or has more than `most` bytes.
    """
    return read_bytes_bounded(path, most).decode("utf-8-sig", "replace")


def read_bytes_bounded(path: Path, most: int) -> bytes:
    """Return a file's content. Raises as `read_bounded`."""
    if not is_regular(path):
        raise InvalidFileError(f"'{path}' is no file that can be read.")
    try:
        with open(path, "rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InvalidFileError(f"'{path}' cannot be read: {error.strerror}.") from None
    if len(content) > most:
        raise InvalidFileError(f"'{path}' is larger than {most:,} bytes, which is more than is read of such a file.")
    return content
