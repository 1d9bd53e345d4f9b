"""The weights of a file alone, where nothing tells what is computed with them: one block for each tensor, as stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vramcast.errors import WorkloadError
from vramcast.stored_weights import StoredWeights, read_weights
from vramcast.trace import Caveat, Component, Phase, Subject, Trace
from vramcast.workload import Workload

_LEFT_OUT = Caveat(
    "A file of weights is no model: its tensors are counted as they are stored. Activations, inputs, keys and values, and what kernels take are "
    "not in it; put the model's config.json beside the file, or name the model, to have them forecast."
)


def trace_stored_weights(path: Path, workload: Workload) -> Trace:
    """Return what the weights of a safetensors or GGUF file take.

    Raises:
        WorkloadError: the workload trains, which a file of weights cannot tell anything about.
        InvalidFileError: the file cannot be read.
    """
    if workload.is_training:
        raise WorkloadError(f"mode 'train' and the file {path} exclude each other: weights alone tell nothing of training. Name the model.")
    return _trace(read_weights(path), path)


def _trace(stored: StoredWeights, path: Path) -> Trace:
    tensors = [tensor for tensor in stored.tensors if tensor.size]
    order, zeros = np.arange(len(tensors), dtype=np.int64), np.zeros(len(tensors), np.int64)
    elements = sum(tensor.elements for tensor in tensors)
    return Trace(
        subject=Subject(stored.name, path.suffix.removeprefix("."), elements, elements),
        kinds=zeros, blocks=order, operations=order, sizes=np.array([tensor.size for tensor in tensors], np.int64),
        components=np.full(len(tensors), Component.WEIGHTS, np.int64), streams=zeros, block_modules=order,
        operation_operators=zeros, operation_modules=order, operation_phases=zeros,
        operators=("load",), modules=tuple(tensor.name for tensor in tensors), phases=(Phase("load", -1),), caveats=(_LEFT_OUT,),
    )  # fmt: skip
