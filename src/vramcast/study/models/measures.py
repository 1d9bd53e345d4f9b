"""The figures of a model that are held against its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from vramcast.study.models.row import ModeFigures, Row

Measure = Callable[[Row], int]
WEIGHTS, INFERENCE, TRAINING = "weights", "inference", "training"
INFERENCE_ACTIVATIONS, TRAINING_ACTIVATIONS = "inference activations", "training activations"
STATES = ("weights", "buffers", "gradients", "optimizer_states", "ema", "cast_copies")
"""Components of the size of the parameters, or nearly so."""
_NOT_ACTIVATIONS = (*STATES, "inputs", "staging", "workspace", "reserved_unallocated", "cuda_context")


def _infer(row: Row) -> ModeFigures:
    assert row.infer is not None
    return row.infer


def _train(row: Row) -> ModeFigures:
    assert row.train is not None
    return row.train


def _of_training(component: str) -> Measure:
    return lambda row: _train(row).components.get(component, 0)


def states_bytes(figures: ModeFigures) -> int:
    """Return what of a forecast goes with the parameters: weights, buffers, gradients, optimizer states, copies of them."""
    return sum(figures.components.get(name, 0) for name in STATES)


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        WEIGHTS: lambda row: _infer(row).components.get("weights", 0),
        "weights and buffers": lambda row: _infer(row).components.get("weights", 0) + _infer(row).components.get("buffers", 0),
        INFERENCE: lambda row: _infer(row).allocated_bytes,
        INFERENCE_ACTIVATIONS: lambda row: sum(size for name, size in _infer(row).components.items() if name not in _NOT_ACTIVATIONS),
        TRAINING: lambda row: _train(row).allocated_bytes,
        TRAINING_ACTIVATIONS: lambda row: _train(row).activations_bytes,
        "gradients": _of_training("gradients"),
        "optimizer states": _of_training("optimizer_states"),
        "temporaries": _of_training("temporaries"),
        "workspace": _of_training("workspace"),
    }
)
"""Name -> bytes: weights in inference; `inference` and `training`, what is allocated at the peak; the other ones where most is allocated in
training, but for activations, which are the most that is held as such at any instant (in inference: of all that is no input and no state)."""
