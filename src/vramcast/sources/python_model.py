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
    builder = load_callable(name)
    return Model(name=name, source=source, task="generic", build=lambda classes: _build(builder, name, classes))


def _build(builder: Callable[..., Any], name: str, classes: int | None) -> nn.Module:
    from torch import nn

    options = {} if classes is None else {_classes_argument(builder, name): classes}
    try:
        built = builder(**options)
    except Exception as error:
        raise ModelError(f"{name} raised {failure(error)}") from error
    if not isinstance(built, nn.Module):
        raise ModelError(f"{name} returned {described(built)}; it must return an nn.Module.")
    return built


def _classes_argument(builder: Callable[..., Any], name: str) -> str:
    arguments = inspect.signature(builder).parameters
    argument = next((known for known in _CLASSES if known in arguments), None)
    if argument is None:
        raise ModelError(f"{name} takes no number of classes, but one was asked for; give it an argument called {' or '.join(_CLASSES)}.")
    return argument
