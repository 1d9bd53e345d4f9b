"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from vramcast.errors import OutputError


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to `path`.

    Whatever goes wrong (full disk, an error in `write`, Ctrl-C), the old file at `path` stays as it was and no
    temporary file is left. A symbolic link is followed, so that its target is replaced.

    Raises:
        OutputError: the path is a directory or device, or its folder is missing or cannot be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OutputError(f"cannot write {str(path)!r}: it is not a regular file. Name a file to create or replace.")
    temporary = target.with_name(f".vramcast-{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(f"cannot write {str(path)!r}: {error.strerror or error}. Choose a path in an existing, writable folder.") from error
    finally:
        temporary.unlink(missing_ok=True)
