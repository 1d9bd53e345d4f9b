"""A model that a user's callable builds: what a file and a package have in common."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vramcast.errors import ModelError
from vramcast.sources.interface import Model
from vramcast.sources.python_callable import described, failure, load_callable

if TYPE_CHECKING:
    from torch import nn

_CLASSES = ("classes", "num_classes", "nc", "n_classes")
"""Names of an argument that takes the number of classes."""


def load_model(name: str, source: str) -> Model:
    """Return the model built by the callable `name`: called with nothing, or with the number of classes where that was asked for.

    Raises as `load_callable` does.
    """
    return built_by(load_callable(name), name, source)


def built_by(builder: Callable[..., Any], name: str, source: str) -> Model:
    """Return the model that a callable builds."""
    return Model(name=name, source=source, task="generic", build=lambda classes: _build(builder, name, classes))


def _build(builder: Callable[..., Any], name: str, classes: int | None) -> nn.Module:
    from torch import nn

    options = {} if classes is None else {_classes_argument(builder, name): classes}
    _check_call(builder, name, options)
    try:
        built = builder(**options)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{name} raised {failure(error)}") from error
    if not isinstance(built, nn.Module):
        raise ModelError(f"{name} returned {described(built)}; it must return an nn.Module.")
    return built


def _check_call(builder: Callable[..., Any], name: str, options: dict[str, Any]) -> None:
    try:
        inspect.signature(builder).bind(**options)
    except TypeError as error:
        given = f"with {', '.join(options)} only" if options else "without arguments"
        raise ModelError(f"{name} is called {given}, but: {error}. Give its arguments defaults, or name a function that does.") from None
    except ValueError:
        return  # a callable of C code, whose signature cannot be read


def _classes_argument(builder: Callable[..., Any], name: str) -> str:
    arguments = inspect.signature(builder).parameters
    argument = next((known for known in _CLASSES if known in arguments), None)
    if argument is None:
        raise ModelError(f"{name} takes no number of classes, but one was asked for; give it an argument called {' or '.join(_CLASSES)}.")
    return argument
