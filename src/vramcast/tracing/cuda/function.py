"""What a CUDA rule above autograd is: a function of the mode and the call, returning what the torch function returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vramcast.tracing.functions import CudaFunctions

Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Function = Callable[["CudaFunctions", Callable[..., Any], Arguments, Keywords], Any]
