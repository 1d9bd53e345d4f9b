"""The table of sources, and how a name finds its model.

`torchvision:resnet50` names source and model; a bare `resnet50` is looked up in all of them. A folder with a `config.json`, an ONNX file, a Python
file (`model.py:build`) and a module (`package.module:build`) are recognised by their form. Looking up names imports none of the packages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from vramcast.errors import AmbiguousNameError, InvalidFileError, MissingExtraError, UnknownNameError, UsageError
from vramcast.sources.gguf import Gguf
from vramcast.sources.interface import Model, Source
from vramcast.sources.onnx_file import OnnxFile, is_onnx_file
from vramcast.sources.python_file import PythonFile
from vramcast.sources.python_package import PythonPackage
from vramcast.sources.timm import Timm
from vramcast.sources.torchvision import Torchvision
from vramcast.sources.transformers import CONFIG, Transformers
from vramcast.sources.ultralytics import Ultralytics
from vramcast.stored_weights import is_weights_file

_PYTHON_FILE = re.compile(r".+\.py(?::\w*)?")
_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*:[A-Za-z_]\w*")
_WILDCARDS = "*?["
_OWN = "your own as path/to/file.py:build"


def table(sources: Sequence[Source]) -> Mapping[str, Source]:
    """Return the sources by name.

    Raises:
        UsageError: two of them have the same name.
    """
    named: dict[str, Source] = {}
    for source in sources:
        if source.name in named:
            raise UsageError(
                f"the model source {source.name!r} is registered twice, by {type(named[source.name]).__qualname__} and by "
                f"{type(source).__qualname__}; give one of them another name."
            )
        named[source.name] = source
    return MappingProxyType(named)


SOURCES: Mapping[str, Source] = table([Torchvision(), Timm(), Ultralytics(), Transformers(), Gguf(), OnnxFile(), PythonFile(), PythonPackage()])


@dataclass(frozen=True, slots=True)
class Listing:
    """The models that can be named, and what is not installed."""

    names: tuple[str, ...]
    """In full, as `torchvision:resnet50`, source after source."""
    missing: tuple[MissingExtraError, ...]
    """One for each source whose package is absent: why its models are not in the list."""


def listing(pattern: str | None = None) -> Listing:
    """List the models whose full or bare name matches `pattern`: with wildcards (fnmatch), or as a part of the name; None: all."""
    names: list[str] = []
    missing: list[MissingExtraError] = []
    for source in SOURCES.values():
        try:
            names += [f"{source.name}:{name}" for name in source.names()]
        except MissingExtraError as error:
            missing.append(error)
    return Listing(tuple(name for name in names if pattern is None or _matches(name, pattern)), tuple(missing))


def names(pattern: str | None = None) -> Iterator[str]:
    """Yield the full names of `listing(pattern)`."""
    yield from listing(pattern).names


def find(text: str) -> Model:
    """Find the model that `text` names.

    Raises:
        UnknownNameError: no source, or none in its source, is called that.
        AmbiguousNameError: a bare name that several sources have; the message lists the full names.
        MissingExtraError: the source's package is not installed.
        InvalidFileError: a file or folder that is absent or cannot be read or imported.
        UsageError: nothing is named, or a source without a model.
    """
    prefix, colon, name = text.partition(":")
    if not prefix.strip() or (colon and prefix in SOURCES and not name.strip()):
        raise UsageError(f"{text!r} names no model. Name one such as torchvision:resnet50 (`vramcast models` lists them), or {_OWN}.")
    if colon and prefix in SOURCES:
        return SOURCES[prefix].load(name)
    if _PYTHON_FILE.fullmatch(text):
        return SOURCES["python-file"].load(text)
    if is_onnx_file(text):
        return SOURCES["onnx"].load(text)
    if is_weights_file(text):
        return _find_by_weights(text)
    if _is_path(text):
        return _find_folder(text)
    if not colon:
        return _find_bare(text)
    if _MODULE.fullmatch(text) and _exists(prefix):
        return SOURCES["python-package"].load(text)
    raise UnknownNameError("source", prefix, SOURCES, f"Legal: {', '.join(SOURCES)}. Nor is there a Python module of that name.")


def _matches(full: str, pattern: str) -> bool:
    name = full.partition(":")[2]
    if any(wildcard in pattern for wildcard in _WILDCARDS):
        return fnmatchcase(full, pattern) or fnmatchcase(name, pattern)
    return pattern in full


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith((".", "~"))


def _find_folder(text: str) -> Model:
    path = Path(text).expanduser()
    if not path.exists():
        raise InvalidFileError(f"there is no file or folder {path}; a model can be a folder with a {CONFIG}, or path/to/file.py:build.")
    return SOURCES["transformers"].load(str(path))


def _find_by_weights(text: str) -> Model:
    """Find the model of a file of weights: told by a GGUF file itself, and of a safetensors file by the configuration beside it."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise InvalidFileError(f"there is no file {path}.")
    if path.suffix.lower() == ".gguf":
        return SOURCES["gguf"].load(text)
    if (path.parent / CONFIG).is_file():
        return SOURCES["transformers"].load(str(path.parent))
    raise UnknownNameError("model", text, (), hint=f"There is no {CONFIG} beside it, so nothing tells what its weights are of.")


def _find_bare(name: str) -> Model:
    """Look a name up in every source that is installed, and as a folder here; then as a name its source knows by another spelling."""
    known = listing()
    candidates = [full for full in known.names if full.partition(":")[2] == name]
    if (Path(name) / CONFIG).is_file() and f"transformers:{name}" not in candidates:
        candidates.append(f"transformers:{name}")
    if len(candidates) > 1:
        raise AmbiguousNameError("model", name, candidates)
    if candidates:
        return SOURCES[candidates[0].partition(":")[0]].load(name)
    return _find_spelling(name, known)


def _find_spelling(name: str, known: Listing) -> Model:
    """Find a name that no source lists but one accepts, such as `yolov5nu` or timm's `resnet50.a1_in1k`."""
    for source in SOURCES.values():
        try:
            if next(iter(source.names()), None) is not None:
                return source.load(name)
        except (UnknownNameError, MissingExtraError):
            continue
    hint = " ".join([f"`vramcast models` lists every model; name {_OWN}.", *(f"Not searched: {error}." for error in known.missing)])
    raise UnknownNameError("model", name, {full.partition(":")[2] for full in known.names}, hint)


def _exists(module: str) -> bool:
    """Whether the outermost package of a dotted name can be found, in the working directory too."""
    package = module.partition(".")[0]
    return find_spec(package) is not None or Path(package).is_dir() or Path(f"{package}.py").is_file()
