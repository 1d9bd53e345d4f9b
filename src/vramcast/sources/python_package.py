"""A model built by a callable of an importable module: `package.module:build`."""

from __future__ import annotations

from collections.abc import Iterator

from vramcast.sources.interface import Model
from vramcast.sources.python_model import load_model


class PythonPackage:
    """Any importable module with a callable that returns an `nn.Module`."""

    name = "python-package"
    extra: str | None = None

    def names(self) -> Iterator[str]:
        """List nothing: any module may be named."""
        return iter(())

    def load(self, name: str) -> Model:
        """Import the module and find its callable. Raises `InvalidFileError`, `UnknownNameError`."""
        return load_model(name, self.name)
