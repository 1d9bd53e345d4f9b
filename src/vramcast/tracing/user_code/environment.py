"""What surrounds a training loop on a GPU, beyond `tracing/cuda/facade.py`: memory statistics, the compiler, checkpoints on disk."""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.data.dataloader import _BaseDataLoaderIter

from vramcast.gpu.spec import GpuSpec
from vramcast.tracing.cuda.devices import is_cuda
from vramcast.tracing.recorder import Recorder
from vramcast.tracing.user_code.meter import Meter
from vramcast.units import GIB

DEFAULT_MEMORY = 80 * GIB
"""Memory of the card where none was named: an A100 of 80 GB."""
DEFAULT_PROCESSORS = 108
"""Its multiprocessors (NVIDIA A100 Tensor Core GPU Architecture, whitepaper, 2020)."""


@contextlib.contextmanager
def gpu_environment(recorder: Recorder, capability: tuple[int, int], card: GpuSpec | None) -> Iterator[None]:
    """Let the rest of torch answer as beside a card while the context is open."""
    answers = [*_memory(Meter(recorder), card), *_card(capability, card), *_compiler(recorder), *_files(recorder), *_loader(), *_printing()]
    originals = [(home, name, getattr(home, name)) for home, name, _ in answers]
    for home, name, answer in answers:
        setattr(home, name, answer)
    try:
        yield
    finally:
        for home, name, original in reversed(originals):
            setattr(home, name, original)


_Answers = list[tuple[Any, str, Any]]


def _memory(meter: Meter, card: GpuSpec | None) -> _Answers:
    """Allocated bytes are known while the code runs; reserved ones only once the allocator has replayed the trace, so these are a lower bound."""
    cuda, usable = torch.cuda, card.usable_bytes if card else DEFAULT_MEMORY

    def current(device: object = None) -> int:
        return meter.read().allocated

    def peak(device: object = None) -> int:
        return meter.read().peak

    def free_and_total(device: object = None) -> tuple[int, int]:
        return max(usable - meter.read().allocated, 0), usable

    def statistics(device: object = None) -> dict[str, int]:
        reading = meter.read()
        both = {"current": reading.allocated, "peak": reading.peak}
        return {f"{kind}_bytes.all.{which}": size for kind in ("allocated", "active", "reserved") for which, size in both.items()}

    return [
        (cuda, "memory_allocated", current), (cuda, "memory_reserved", current), (cuda, "max_memory_allocated", peak),
        (cuda, "max_memory_reserved", peak), (cuda, "mem_get_info", free_and_total), (cuda, "memory_stats", statistics),
        (cuda, "memory_summary", lambda *_, **__: ""), (cuda, "reset_peak_memory_stats", lambda *_: meter.reset_peak()),
        (cuda, "reset_max_memory_allocated", lambda *_: meter.reset_peak()), (cuda, "ipc_collect", lambda: None),
    ]  # fmt: skip


def _card(capability: tuple[int, int], card: GpuSpec | None) -> _Answers:
    name = card.name if card else "vramcast"
    properties = types.SimpleNamespace(
        name=name, major=capability[0], minor=capability[1], total_memory=card.memory_bytes if card else DEFAULT_MEMORY,
        multi_processor_count=(card.sm_count if card else None) or DEFAULT_PROCESSORS,
    )  # fmt: skip
    return [
        (torch.cuda, "get_device_properties", lambda *_: properties),
        (torch.cuda, "get_device_name", lambda *_: name),
        (torch.accelerator, "is_available", lambda: True),
        (torch.accelerator, "device_count", lambda: 1),
        (torch.accelerator, "current_accelerator", lambda *_, **__: torch.device("cuda")),
        (torch.accelerator, "current_device_index", lambda: 0),
        (torch.accelerator, "set_device_index", lambda *_: None),
        (torch.accelerator, "current_stream", lambda *_: torch.cuda.current_stream()),
        (torch.accelerator, "synchronize", lambda *_: None),
    ]


def _compiler(recorder: Recorder) -> _Answers:
    def passed_over() -> None:
        recorder.caveat("torch.compile was passed over: what is forecast is the same code, eager.")

    def compile(model: Any = None, **options: Any) -> Any:
        passed_over()
        return model if model is not None else lambda function: function

    return [(torch, "compile", compile), (torch.nn.Module, "compile", lambda *_, **__: passed_over())]


def _files(recorder: Recorder) -> _Answers:
    original: Callable[..., Any] = torch.load

    def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        recorder.caveat("torch.save wrote nothing: tensors of a forecast have no values.")

    def load(f: Any, map_location: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not is_cuda(map_location):
            return original(f, map_location, *args, **kwargs)
        loaded = original(f, "cpu", *args, **kwargs)
        return tree_map(lambda leaf: leaf.to(map_location) if isinstance(leaf, torch.Tensor) else leaf, loaded)

    return [(torch, "save", save), (torch, "load", load)]


def _loader() -> _Answers:
    """Batches are not pinned: that is host memory, and the thread that does it would look for a driver."""
    original = _BaseDataLoaderIter.__init__

    def init(self: Any, loader: Any) -> None:
        original(self, loader)
        self._pin_memory = False

    return [(_BaseDataLoaderIter, "__init__", init)]


def _printing() -> _Answers:
    """A device tensor is printed without values: `tensor(..., device='cuda:0', size=(2, 3))`."""
    original: Callable[..., str] = torch._tensor_str._str

    def text(tensor: torch.Tensor, *, tensor_contents: str | None = None) -> str:
        with torch._C.DisableTorchFunction():
            return original(tensor, tensor_contents=tensor_contents).replace("device='meta'", "device='cuda:0'")

    return [(torch._tensor_str, "_str", text)]
