"""Drives the CPU arena of the installed ONNX Runtime, which is the same class as its CUDA arena, and reads what it logs.

A model of one `ConstantOfShape` allocates its output from the session's arena; the output is given back when Python drops it. So any order of
requests can be played. ONNX Runtime logs each region it takes; the log goes to the process' standard error, which is read by file descriptor.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

_EXTENDING = re.compile(r"Extending BFCArena for \w+\. bin_num:(\d+) \(requested\) num_bytes: (\d+) \(actual\) rounded_bytes:(\d+)")
_EXTENDED = re.compile(r"Extended allocation by (\d+) bytes")
_ALLOCATED_AT = re.compile(r"Allocated memory at 0x([0-9a-f]+) to")
_RESERVING = re.compile(r"Reserving memory in BFCArena for \w+ size: (\d+)")
_INFO, _WARNING = 1, 2


@dataclass(frozen=True)
class Log:
    """What the arena said: regions with their bins, requests, sizes and addresses; and reserved memory."""

    bins: tuple[int, ...]
    requests: tuple[int, ...]
    extensions: tuple[int, ...]
    addresses: tuple[int, ...]
    reserves: tuple[int, ...]

    @classmethod
    def read(cls, text: str) -> Log:
        """Read a log."""
        extending = _EXTENDING.findall(text)
        return cls(
            tuple(int(bin_number) for bin_number, _, _ in extending),
            tuple(int(requested) for _, requested, _ in extending),
            tuple(map(int, _EXTENDED.findall(text))),
            tuple(int(address, 16) for address in _ALLOCATED_AT.findall(text)),
            tuple(map(int, _RESERVING.findall(text))),
        )


@dataclass
class Logged:
    """Fills its text when the block around it ends."""

    text: str = ""
    log: Log = field(default_factory=lambda: Log.read(""))


@contextmanager
def logged() -> Iterator[Logged]:
    """Collect what ONNX Runtime logs."""
    found = Logged()
    onnxruntime.set_default_logger_severity(_INFO)
    kept = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield found
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            onnxruntime.set_default_logger_severity(_WARNING)
            file.seek(0)
            found.text = file.read().decode(errors="replace")
            found.log = Log.read(found.text)


class RealArena:
    """An arena of one session, with the configuration given as `OrtArenaCfg` takes it."""

    def __init__(self, config: dict[str, int]) -> None:
        options = onnxruntime.SessionOptions()
        options.enable_mem_pattern = False
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.use_env_allocators", "1" if config else "0")
        if config:
            register_arena(config)
        self._session: Any = onnxruntime.InferenceSession(_model(), options, providers=["CPUExecutionProvider"])

    def allocate(self, size: int) -> Any:
        """Return a block of so many bytes, given back once nobody holds it."""
        shape = onnxruntime.OrtValue.ortvalue_from_numpy(np.array([size], np.int64))
        return self._session.run_with_ort_values(["block"], {"size": shape})[0]

    def shrink(self) -> None:
        """Shrink the arena at the end of a run that allocates 1 byte."""
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run(["block"], {"size": np.array([1], np.int64)}, options)


def register_arena(config: dict[str, int]) -> None:
    """Make an arena that sessions of this process share, in the place of the one before."""
    memory = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(config))


def _model() -> bytes:
    node = helper.make_node("ConstantOfShape", ["size"], ["block"], value=helper.make_tensor("value", TensorProto.UINT8, [1], [0]))
    size = helper.make_tensor_value_info("size", TensorProto.INT64, [1])
    block = helper.make_tensor_value_info("block", TensorProto.UINT8, [None])
    graph = helper.make_graph([node], "block", [size], [block])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString())
