"""A model built by a callable in a Python file: `path/to/file.py:build`."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.errors import InvalidFileError
from vramcast.sources.interface import Model
from vramcast.sources.python_model import load_model


class PythonFile:
    """Any Python file with a callable that returns an `nn.Module`."""

    name = "python-file"
    extra: str | None = None

    def names(self) -> Iterator[str]:
        """List nothing: any file may be named."""
        return iter(())

    def load(self, name: str) -> Model:
        """Import the file and find its callable. Raises `InvalidFileError`, `UnknownNameError`."""
        if not name.rpartition(":")[0].endswith(".py"):
            raise InvalidFileError(f"{name!r} names no callable in a Python file; write path/to/file.py:build, where build() returns an nn.Module.")
        return load_model(name, self.name)
