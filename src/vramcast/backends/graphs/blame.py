"""What broke when torch could not export a module, in the words of whoever wrote it: which part, at which line, and why no graph holds it."""

from __future__ import annotations

import contextlib
import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from vramcast.errors import UntraceableError, VramcastError
from vramcast.sources.interface import Model

_ON_VALUES = (GuardOnDataDependentSymNode, DataDependentOutputException, DynamicOutputShapeException)
"""What torch 2.13 raises where Python asks for a number that only the tensors' values give."""
_LONGEST_REASON = 400
"""Characters of the exporter's message that are shown; it goes on with the whole program."""
_TORCH = Path(torch.__file__).parent


@contextlib.contextmanager
def refused(model: Model, module: nn.Module) -> Iterator[None]:
    """Turn what the exporter raises into an `UntraceableError`; errors of vramcast's own pass as they are."""
    try:
        yield
    except VramcastError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise UntraceableError(
            f"{model.source}:{model.name} cannot be exported to ONNX: {_reason(cause, module)}. "
            "Export it by its own tools, and name the .onnx file instead."
        ) from error


def _reason(cause: BaseException, module: nn.Module) -> str:
    frames = list(traceback.walk_tb(cause.__traceback__))
    part, line = _part(frames, module), _line(frames)
    if isinstance(cause, _ON_VALUES):
        return f"{part or 'it'} decides by values of tensors, and a static graph is made without values{f' ({line})' if line else ''}"
    where = ", ".join(filter(None, (part, line)))
    text = " ".join(str(cause).split())[:_LONGEST_REASON].rstrip(".")
    return f"{type(cause).__name__}: {text}{f' (in {where})' if where else ''}"


def _part(frames: list[tuple[FrameType, int]], module: nn.Module) -> str:
    """Name the innermost part that was running. Parts that are shared run under stand-ins, which have their attributes in the same table."""
    names = {id(vars(part)): name for name, part in module.named_modules()}
    for frame, _ in reversed(frames):
        part = frame.f_locals.get("self")
        if isinstance(part, nn.Module) and id(vars(part)) in names:
            name = names[id(vars(part))]
            return f"{name} ({type(part).__name__})" if name else type(part).__name__
    return ""


def _line(frames: list[tuple[FrameType, int]]) -> str:
    """Quote the last line that ran outside of torch and of vramcast, within the module."""
    ours = Path(__file__).parents[2]
    for frame, line in reversed(frames):
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(ours):
            break
        if file.is_file() and not file.is_relative_to(_TORCH):
            text = linecache.getline(str(file), line).strip()
            return f"{'/'.join(file.parts[1:][-3:])}:{line}: `{text}`"
    return ""
