"""Whether a file can be written, asked before there is anything to write."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from vramcast.errors import OutputError


def check_writable(path: Path) -> None:
    """Find out whether `atomic_file.write_atomically` will be able to write `path`. Leaves nothing behind.

    Raises:
        OutputError: it will not; the message says why.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise OutputError(f"cannot write '{path}': it is a folder. Name a file in it.")
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write '{path}': it is not a regular file. Leave out the path to write to standard output.")
        if not target.parent.is_dir():
            raise OutputError(f"cannot write '{path}': there is no folder '{target.parent}'. Make it first.")
        if target.exists() and not os.access(target, os.W_OK):
            raise OutputError(f"cannot write '{path}': the file is write-protected.")
        # Permissions alone do not tell: a file system may be full, or mounted read-only.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".vramcast-"):
            pass
    except OSError as error:
        raise OutputError(f"cannot write '{path}': {error.strerror}. Choose a path in an existing, writable folder.") from error
