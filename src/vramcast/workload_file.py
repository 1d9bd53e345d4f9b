"""A workload as a TOML file: the fields of `Workload` by their names.

mode = "train"
batch = 64
image = 224                 # or [480, 640]
precision = "amp-bf16"

[validation]
batch = 128
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from vramcast.errors import InvalidFileError


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the fields, unchecked: `workload.make` checks them, together with those from elsewhere.

    Raises:
        InvalidFileError: the file cannot be read, or is not TOML; the message names the line.
    """
    try:
        return msgspec.toml.decode(Path(path).read_bytes(), type=dict[str, Any])
    except OSError as error:
        raise InvalidFileError(f"workload file '{path}' cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"workload file '{path}' is not text in UTF-8: byte {error.start} is {error.object[error.start]:#04x}.") from error
    except msgspec.DecodeError as error:
        raise InvalidFileError(f"workload file '{path}' is not valid TOML: {error}. One field per line, such as: batch = 64") from error
