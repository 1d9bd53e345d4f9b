"""A callable in a user's Python code: `path/to/file.py:function` or `package.module:function`."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from vramcast.errors import InvalidFileError, UnknownNameError
from vramcast.sources.torchvision_import import prepare_import

_imported: dict[str, tuple[Path, int, int]] = {}
"""Module name -> the file it was imported from, when that was last written (ns), and its bytes."""
_NOT_THE_USERS = (str(Path(__file__).parents[1]), str(Path(importlib.__file__).parent), "<frozen")
"""Where a failure is not to be looked for: this package, and Python's machinery of imports."""
_INSTALLED = "site-packages"
"""The folder of installed packages: a failure there is put down to the line that called them, where there is one."""


def load_callable(text: str) -> Callable[..., Any]:
    """Import the file or module that stands before the last colon and return what is called as it says behind.

    Raises:
        InvalidFileError: the text has another form, the code cannot be imported, or the name is nothing that can be called.
        UnknownNameError: the code has nothing of that name.
    """
    place, _, attribute = text.rpartition(":")
    if not place or not attribute.isidentifier():
        raise InvalidFileError(f"{text!r} names no callable; write path/to/file.py:function or package.module:function.")
    module = import_file(Path(place)) if place.endswith(".py") else import_module(place)
    if not hasattr(module, attribute):
        public = [known for known, value in vars(module).items() if callable(value) and not known.startswith("_")]
        raise UnknownNameError(f"callable in {place}", attribute, public)
    found: Callable[..., Any] = getattr(module, attribute)
    if not callable(found):
        raise InvalidFileError(f"{text} is {described(found)}; it must be something that can be called.")
    return found


def import_file(path: Path) -> ModuleType:
    """Import a file as Python runs a script: its folder comes first on `sys.path`. Raises `InvalidFileError`.

    A file that has not changed since is imported once: model and loss may stand in one file, and operators can be registered once only.
    """
    path = path.expanduser().resolve()
    spec = importlib.util.spec_from_file_location(f"_vramcast_{path.stem}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InvalidFileError(f"there is no Python file {path}.")
    version = (path, path.stat().st_mtime_ns, path.stat().st_size)
    if _imported.get(spec.name) == version:
        return sys.modules[spec.name]
    prepare_import()
    _search_first(path.parent)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module  # where dataclasses and pickle look a class up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        _imported.pop(spec.name, None)
        raise InvalidFileError(f"{path} cannot be imported: {failure(error)}") from error
    _imported[spec.name] = version
    return module


def import_module(name: str) -> ModuleType:
    """Import a module as `python -m` does: the working directory counts. Raises `InvalidFileError`."""
    prepare_import()
    _search_first(Path(os.getcwd()))
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise InvalidFileError(f"the module {name} cannot be imported: {failure(error)}") from error


def failure(error: BaseException) -> str:
    """Say what went wrong, and where in the user's own code: `ValueError: no such layer (model.py, line 12)`."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_NOT_THE_USERS)]
    own = [frame for frame in frames if _INSTALLED not in Path(frame.filename).parts] or frames
    where = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {error}{where}"


def described(value: Any) -> str:
    """Name a value by its type: `a dict`, `an int`, `None`."""
    name = type(value).__qualname__
    return "None" if value is None else f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _search_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
