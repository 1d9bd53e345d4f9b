"""`vramcast.trace()`: the context in which a user's code runs."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch.utils._device

from vramcast.errors import UsageError
from vramcast.gpu.catalogue import resolve
from vramcast.gpu.spec import GpuSpec
from vramcast.sources.torchvision_import import prepare_import
from vramcast.trace import Trace
from vramcast.tracing.attribution import attribute
from vramcast.tracing.tracer import Tracer
from vramcast.tracing.user_code.environment import gpu_environment
from vramcast.tracing.user_code.functions import UserFunctions
from vramcast.tracing.user_code.listening import Listener, listening
from vramcast.tracing.user_code.modules import Modules
from vramcast.tracing.user_code.moving import moving
from vramcast.tracing.user_code.steps import Steps

DEFAULT_CAPABILITY = (8, 0)
"""The architecture assumed where no card was named: kernels are chosen as on an A100."""


@dataclass(slots=True)
class Run:
    """The handle of a `with vramcast.trace()` block."""

    _trace: Trace | None = field(default=None, repr=False)

    @property
    def trace(self) -> Trace:
        """What the block did to GPU memory.

        Raises:
            UsageError: the block has not come to its end.
        """
        if self._trace is None:
            raise UsageError("there is no trace yet: it is made when the `with vramcast.trace()` block comes to its end.")
        return self._trace


@contextlib.contextmanager
def trace(gpu: str | GpuSpec | None = None, seed: int = 0) -> Iterator[Run]:
    """Run a block of code as on a GPU, without one, and record what it does to memory.

    Inside, `"cuda"` is a device that is there: `model.cuda()`, `.to("cuda")`, `torch.autocast("cuda")`, `GradScaler`, streams and memory
    statistics answer as a card would, and nothing is computed. Phases are read from what runs: calls of modules, `backward`, optimizer
    steps. Values that code asks for (`loss.item()`) are zero, or drawn with `seed`.

    Known limits: `torch.compile` is passed over, `torch.save` writes nothing, `torch.Generator("cuda")` and processes of other
    ranks are not there; code that runs in threads of its own is not seen.

    Raises:
        UsageError: an unknown or ambiguous card.
        UntraceableError: an operator cannot be followed without a GPU.
    """
    card = resolve(gpu) if isinstance(gpu, str) else gpu
    capability = (card.compute_capability if card else None) or DEFAULT_CAPABILITY
    run = Run()
    prepare_import()
    # Now, as it could not be imported while parts of torch are exchanged: it keeps a table of them (torch/_dynamo/trace_rules.py, 2.13).
    importlib.import_module("torch._dynamo")
    with Tracer(capability, seed) as tracer:
        modules = Modules(tracer)
        listener = Listener(Steps(tracer), modules, tracer)
        with (
            _default_device_kept(),
            gpu_environment(tracer.recorder, capability, card),
            moving(modules, tracer),
            listening(listener),
            UserFunctions(tracer, lambda: listener.depth > 0),
        ):
            yield run
            modules.claim_copies()
        recording = tracer.recording()
    run._trace = attribute(recording, modules.subject())


@contextlib.contextmanager
def _default_device_kept() -> Iterator[None]:
    """Undo what `torch.set_default_device` did inside."""
    default = torch.utils._device.CURRENT_DEVICE
    try:
        yield
    finally:
        if default != torch.utils._device.CURRENT_DEVICE:
            torch.set_default_device(default)
