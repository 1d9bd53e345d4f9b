"""Whose fault it was: what a user's module raises becomes an error that names the module and what it was given."""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.autograd.function import BackwardCFunction

from vramcast.errors import ModelError, VramcastError
from vramcast.sources.interface import Model
from vramcast.tracing.modules import shapes_of
from vramcast.tracing.tracer import Tracer
from vramcast.workload import Workload


@contextlib.contextmanager
def blamed(model: Model, module: nn.Module, workload: Workload, tracer: Tracer) -> Iterator[None]:
    """Turn whatever is raised within into a `ModelError`; errors of vramcast's own pass as they are."""
    try:
        yield
    except VramcastError:
        raise
    except (Exception, SystemExit) as error:
        where = _place(error, tracer)
        text = f"{type(error).__name__}: {error}".rstrip().rstrip(".")
        raise ModelError(f"{model.source}:{model.name} raised in {where}: {text}.{_advice(model, module, workload)}") from error


def _place(error: BaseException, tracer: Tracer) -> str:
    """Say where an error came from: a module's forward, the backward of what a module made, or a phase outside all modules."""
    failure = tracer.failure(error)
    if failure is not None:
        return f"{failure.where} on input {', '.join(failure.shapes) or 'nothing'}"
    for frame, _ in traceback.walk_tb(error.__traceback__):
        node: Any = frame.f_locals.get("self")
        if isinstance(node, BackwardCFunction):
            return f"the backward of {tracer.maker(node._sequence_nr())} on gradient {', '.join(shapes_of(frame.f_locals['args']))}"
    return f"the phase {tracer.current_phase!r}, outside any module"


def _advice(model: Model, module: nn.Module, workload: Workload) -> str:
    """Say which inputs a user's module takes, where it was given others."""
    if model.task != "generic":
        return ""
    takes = inspect.signature(module.forward).parameters
    named = ", ".join(takes) or "nothing"
    if not workload.inputs:
        first = next(iter(takes), "x")
        return f" No input was named, so it was given a batch of images; its forward takes {named}. Name what it takes: --input {first}=2x3x224x224."
    given = {spec.name: spec for spec in workload.inputs}
    try:
        inspect.signature(module.forward).bind(**given)
    except TypeError:
        return f" Its forward takes {named}; the inputs named are {', '.join(given)}."
    return ""
