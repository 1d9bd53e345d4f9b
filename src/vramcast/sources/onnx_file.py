"""ONNX files: operators and weights, whatever framework they were made with. Weights are never read, and torch is not needed.

The file is read when its sizes are known (`vramcast.onnx_graph`); data it keeps in other files stay inside its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vramcast.errors import InvalidFileError, MissingExtraError, ModelError
from vramcast.operator_graph import GraphSizes, OperatorGraph
from vramcast.sources.interface import Model

if TYPE_CHECKING:
    from torch import nn

SUFFIX = ".onnx"
_PACKAGES = ("onnx", "onnx_ir", "onnx_shape_inference", "onnxscript")


def is_onnx_file(name: str) -> bool:
    """Tell by its ending whether a name is that of an ONNX file."""
    return name.lower().endswith(SUFFIX)


class OnnxFile:
    """A file that ends in `.onnx`, with the files of external data beside it."""

    name = "onnx"
    extra: str | None = "onnx"

    def names(self) -> Iterator[str]:
        """List nothing: all models are the user's files."""
        return iter(())

    def load(self, name: str) -> Model:
        """Find the file; it is read when its sizes are known.

        Raises:
            InvalidFileError: there is no such file.
            MissingExtraError: a package that reads it is not installed.
        """
        path = Path(name).expanduser()
        if not path.is_file():
            raise InvalidFileError(f"there is no file {path}.")
        absent = next((package for package in _PACKAGES if find_spec(package) is None), None)
        if absent is not None:
            raise MissingExtraError(absent, "onnx", "reading ONNX files")
        return Model(name=path.name, source=self.name, task="generic", build=_no_module(path), read_graph=lambda sizes: _read(path, sizes))


def _read(path: Path, sizes: GraphSizes) -> OperatorGraph:
    from vramcast.onnx_graph.file_graph import read_graph

    return read_graph(path, sizes)


def _no_module(path: Path) -> Callable[[int | None], nn.Module]:
    def build(classes: int | None) -> nn.Module:
        raise ModelError(f"{path} is an ONNX file: it holds operators, and no torch module can be built from it.")

    return build
