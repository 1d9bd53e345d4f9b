"""Look into an installed package without importing it: is it there, where, and which models does its source register."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from vramcast.errors import MissingExtraError, UsageError

EXTRA = "zoo"
"""The extra that installs the model packages."""

_REGISTERED = re.compile(
    r"""^@register_model(?:\((?:name="(?P<name>\w+)")?\))?\n   # the decorator; torchvision may give a name
        (?:@.*\n(?:[ )].*\n)*)*                                  # further decorators, with their indented lines
        def\ (?P<function>\w+)\(""",
    re.MULTILINE | re.VERBOSE,
)
"""How timm (`timm/models/*.py`, 1.0) and torchvision (`torchvision/models/**/*.py`, 0.28) register a model."""


def folder_of(package: str) -> Path:
    """Return the folder of an installed package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        spec = find_spec(package)
    except ValueError:  # its import has been blocked: `sys.modules[package] = None`
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError(package, EXTRA, f"the model source {package!r}")
    return Path(next(iter(spec.submodule_search_locations)))


def import_installed(module: str) -> ModuleType:
    """Import an installed model package, or a module of it.

    Raises:
        MissingExtraError: it imports a package that is not installed (timm needs torchvision).
        UsageError: it cannot be imported for another reason, such as a version that does not go with another package's.
    """
    package = module.partition(".")[0]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        absent = (error.name or package).partition(".")[0]
        raise MissingExtraError(absent, EXTRA, f"the model source {package!r}") from error
    except Exception as error:
        raise UsageError(
            f"the installed {package} cannot be imported: {type(error).__name__}: {error}. "
            f"Install versions that go together with: pip install --upgrade 'vramcast[{EXTRA}]'"
        ) from error


@lru_cache(maxsize=8)
def registered_models(folder: Path) -> tuple[str, ...]:
    """Return the names of the models that the Python files below `folder` register, sorted.

    Reading the text takes 0.1 s for timm's 1,400 models; importing timm takes over a second, and torch beside.
    """
    return tuple(sorted({name for path in folder.rglob("*.py") for name in _registered_in(path)}))


def _registered_in(path: Path) -> Iterator[str]:
    for match in _REGISTERED.finditer(path.read_text(encoding="utf-8")):
        yield match["name"] or match["function"]
