"""Lets dynamo compile frames of a program that the tracer listens to: deaf while it compiles, listening while anything runs.

At a graph break dynamo hands a frame back to Python, which runs what stands between two graphs; that is heard as eager code is. Dynamo itself
refuses to work under modes that see every call, and guards on them (torch/_dynamo/convert_frame.py, guards.py, 2.13). So modes are put away
while it looks at a frame, and what it guards on is made to hold where they are back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch._C._dynamo.eval_frame import _FrameAction, _FrameExecStrategy
from torch._dynamo import convert_frame, guards
from torch._dynamo.types import ConvertFrameReturn
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode

import vramcast.tracing
from vramcast.tracing import modules
from vramcast.tracing.tracer import Tracer

_TRACING = str(Path(vramcast.tracing.__file__).parent)
_LIMIT = "torch._dynamo hit config."
"""How the warning begins that a function was compiled too often (torch/_dynamo/convert_frame.py, `_compile`, 2.13)."""


class _Present(TorchDispatchMode):
    """A mode that changes nothing: guards remember which dispatch keys modes bring along."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def compiling_frames(tracer: Tracer, failed: Callable[[str, Exception], None], given_up: Callable[[str], None]) -> Iterator[None]:
    """While the context is open, dynamo may look at frames that run while the tracer listens.

    `failed` is told of code that dynamo could not compile, by its name; it runs as it is. `given_up` is told of functions that dynamo compiles
    no more, as it has compiled them for too many kinds of arguments.
    """
    convert, build = convert_frame.CatchErrorsWrapper.__call__, guards.CheckFunctionManager.__init__

    def converted(wrapper: Any, frame: Any, *rest: Any) -> ConvertFrameReturn:
        if frame.f_code.co_filename.startswith(_TRACING):
            return _left_alone(frame.f_code.co_filename == modules.__file__)
        with tracer.deaf(), on_cpu():
            try:
                return convert(wrapper, frame, *rest)
            except Exception as error:
                failed(frame.f_code.co_qualname, error)
                return ConvertFrameReturn(skip_reason="failed")

    def built(manager: Any, *args: Any, **kwargs: Any) -> None:
        with _Present():  # type: ignore[no-untyped-call]
            build(manager, *args, **kwargs)

    def warned(message: str, *details: Any, **how: Any) -> None:
        if message.startswith(_LIMIT):
            given_up(str(details[2]))
        else:
            warn(message, *details, **how)

    warn = convert_frame.log.warning
    with (
        mock.patch.object(convert_frame.log, "warning", warned),
        mock.patch.object(convert_frame.CatchErrorsWrapper, "__call__", converted),
        mock.patch.object(guards.CheckFunctionManager, "__init__", built),
        mock.patch.object(guards.GuardBuilder, "TORCH_FUNCTION_STATE", _no_guard),
    ):
        yield


def _left_alone(goes_on_within: bool) -> ConvertFrameReturn:
    """Leave a frame of the tracer's as it is; what it calls is looked at if it is the one around a module's call."""
    within = _FrameAction.DEFAULT if goes_on_within else _FrameAction.SKIP
    return ConvertFrameReturn(frame_exec_strategy=_FrameExecStrategy(_FrameAction.SKIP, within), skip_reason="of the tracer")


def _no_guard(_builder: Any, _guard: Any) -> None:
    """Do without the guard on function modes: the tracer's are there, and are no part of the program."""


@contextlib.contextmanager
def on_cpu() -> Iterator[None]:
    """Let every fake tensor that stands for a meta tensor be one of the CPU while the context is open."""
    original = FakeTensor._normalize_fake_device

    def normalized(device: torch.device) -> torch.device:
        return original(torch.device("cpu") if device.type == "meta" else device)

    with mock.patch.object(FakeTensor, "_normalize_fake_device", staticmethod(normalized)):
        yield
