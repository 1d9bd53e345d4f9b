"""Closed-form rules: bytes per parameter of weights and of what training keeps beside them, term by term. No torch needed.

    weights      parameters * size of one value
    training     weights + gradients + optimizer states (+ master weights, + cast copies, + EMA)

For AdamW in mixed precision, 12 to 18 bytes per parameter:

    12   half-states   weights 2 + gradients 2 + fp32 moments 8
    16   autocast      weights 4 + gradients 4 + fp32 moments 8                   (16 is held; 18 during the forward pass)
    16   fp32-master   weights 2 + gradients 2 + fp32 master weights 4 + fp32 moments 8
    18   autocast      those 16 + a 2-byte cast copy of every weight
    18   fp32-grads    weights 2 + fp32 gradients 4 + fp32 master weights 4 + fp32 moments 8

Known limits: these are parameters only, no activations, workspaces, buffers or rounding; autocast copies only the weights that its
lower-precision operators use, so the 2-byte term is an upper bound (embeddings and normalizations are not copied).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, get_args

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.workload import OPTIMIZERS, PRECISIONS

WEIGHT_BYTES: dict[str, Fraction] = {
    "fp32": Fraction(4), "tf32": Fraction(4), "fp16": Fraction(2), "bf16": Fraction(2),
    "fp8": Fraction(1), "int8": Fraction(1), "int4": Fraction(1, 2),
}  # fmt: skip
"""Bytes of one weight. TF32 is a way of multiplying fp32 values, which stay 4 bytes; scales of quantized formats come on top."""

Recipe = Literal["torch", "half-states", "fp32-master", "fp32-grads"]
RECIPES: dict[str, str] = {
    "torch": "what torch does: a module in its precision, or fp32 under autocast; gradients and states in the type of the weights",
    "half-states": "half-precision weights and gradients, fp32 optimizer states, no master weights",
    "fp32-master": "half-precision weights and gradients, fp32 master weights and states (ZeRO, arXiv 1910.02054, section 3.1; DeepSpeed)",
    "fp32-grads": "half-precision weights, fp32 gradients, master weights and states (Megatron-LM with bf16 weights, distributed optimizer guide)",
}
_HALF = ("fp16", "bf16")
_DTYPES = {"fp16": "float16", "bf16": "bfloat16", "amp-fp16": "float16", "amp-bf16": "bfloat16"}
_VALUE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

_STATES: dict[str, tuple[str, ...]] = {
    "sgd": (), "momentum": ("momentum_buffer",), "nesterov": ("momentum_buffer",),
    "adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "nadam": ("exp_avg", "exp_avg_sq"), "radam": ("exp_avg", "exp_avg_sq"),
    "adamax": ("exp_avg", "exp_inf"), "adadelta": ("square_avg", "acc_delta"), "rprop": ("prev", "step_size"),
    "rmsprop": ("square_avg",), "adagrad": ("sum",), "asgd": ("ax",), "lion": ("exp_avg",), "muon": ("momentum_buffer",),
    "musgd": ("momentum_buffer", "momentum_buffer_SGD"),
    "adafactor": ("row_var and col_var",),
    "adam8bit": ("state1", "state2"), "adamw8bit": ("state1", "state2"), "lion8bit": ("state1",),
}  # fmt: skip
"""State tensors by their names in the optimizer (torch 2.13, `torch/optim/*.py`; bitsandbytes 0.50, `optim/optimizer.py`); Lion as published
(arXiv 2302.06675); MuSGD as in ultralytics 8.4 (`optim/muon.py`, `engine/trainer.py`). Without the scalars per tensor: `step` lies on the CPU, ASGD
keeps `step`, `eta` and `mu` of 4 bytes each on the card."""
_NOTES = {
    ("muon", "momentum_buffer"): "matrices only; other parameters are stepped by AdamW, with two states (torch 2.13, torch/optim/_muon.py)",
    ("musgd", "momentum_buffer_SGD"): "matrices and filters only; other parameters keep one state (ultralytics 8.4, optim/muon.py)",
}
"""What a state's bytes leave unsaid: (optimizer, state) -> a sentence."""
_EIGHT_BIT = {"adam8bit", "adamw8bit", "lion8bit"}
_BLOCK = 256
"""Values that share one fp32 maximum in an 8-bit state (bitsandbytes 0.50, `optim/optimizer.py`, `init_state`)."""
_SMALLEST_8BIT = 4096
"""Tensors below this keep fp32 states (bitsandbytes 0.50, `min_8bit_size`)."""


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """Weights in one precision."""

    precision: str
    bytes_per_parameter: Fraction
    bytes: int


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that training keeps for every parameter."""

    name: str
    component: str
    """Label of `trace.Component`: `weights`, `gradients`, `optimizer_states`, `cast_copies` (master weights too) or `ema`."""
    dtype: str
    bytes_per_parameter: Fraction
    forward_only: bool = False
    """Given back when autocast's region ends, save what backward still needs."""
    note: str = ""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One way of training: its terms and their sums."""

    optimizer: str
    precision: str
    recipe: str
    terms: tuple[Term, ...]
    parameters: int

    @property
    def bytes_per_parameter(self) -> Fraction:
        """All terms, those of the forward pass included."""
        return sum((term.bytes_per_parameter for term in self.terms), Fraction(0))

    @property
    def held_per_parameter(self) -> Fraction:
        """The terms that outlast the forward pass."""
        return sum((term.bytes_per_parameter for term in self.terms if not term.forward_only), Fraction(0))

    @property
    def bytes(self) -> int:
        """All terms for all parameters."""
        return math.ceil(self.bytes_per_parameter * self.parameters)

    @property
    def held_bytes(self) -> int:
        """The terms that outlast the forward pass, for all parameters."""
        return math.ceil(self.held_per_parameter * self.parameters)


def weights_table(parameters: int) -> tuple[WeightsRow, ...]:
    """Return the bytes of `parameters` weights in every precision: 100 million are 400 MB in fp32 and 50 MB in int4."""
    return tuple(WeightsRow(precision, size, math.ceil(size * parameters)) for precision, size in WEIGHT_BYTES.items())


def training_table(parameters: int, optimizer: str = "adamw", *, ema: bool = False) -> tuple[TrainingRow, ...]:
    """Return every way of training with this optimizer: each precision as torch does it, then the recipes of each half precision.

    Raises:
        UnknownNameError: no optimizer has this name.
    """
    ways = [(precision, "torch") for precision in PRECISIONS] + [(precision, recipe) for precision in _HALF for recipe in list(RECIPES)[1:]]
    return tuple(
        TrainingRow(optimizer, precision, recipe, training_terms(optimizer, precision, recipe, ema=ema), parameters) for precision, recipe in ways
    )


def training_terms(optimizer: str, precision: str, recipe: str = "torch", *, ema: bool = False) -> tuple[Term, ...]:
    """Return what training keeps per parameter; `ema` adds an fp32 copy of the weights.

    Raises:
        UnknownNameError: no optimizer, precision or recipe has this name.
        WorkloadError: a recipe with half-precision weights and a precision that has none.
    """
    _check(optimizer, precision, recipe)
    terms = [_value("weights", "weights", _weights_dtype(precision)), _value("gradients", "gradients", _gradient_dtype(precision, recipe))]
    if recipe in ("fp32-master", "fp32-grads"):
        terms.append(_value("master weights", "cast_copies", "float32"))
    terms += [_state(optimizer, state, _state_dtype(precision, recipe)) for state in _STATES[optimizer]]
    if ema:
        terms.append(_value("EMA", "ema", "float32"))
    if precision.startswith("amp-"):
        terms.append(_value("cast copies of weights", "cast_copies", _DTYPES[precision], forward_only=True))
    return tuple(terms)


def state_bytes(optimizer: str, shapes: Iterable[Sequence[int]], precision: str, recipe: str = "torch") -> int:
    """Return the exact bytes of the optimizer's states for parameters of these shapes, master weights not included.

    Per-tensor rules that the table cannot show: Adafactor's factored variance, Muon's AdamW for all that is no matrix, 8-bit states only
    from 4096 values on and in whole blocks of 256. Without scalars per tensor and the 1 KiB table of each kind of 8-bit state.

    Raises:
        UnknownNameError: no optimizer, precision or recipe has this name.
        WorkloadError: a recipe that the precision excludes.
    """
    _check(optimizer, precision, recipe)
    size = _VALUE_BYTES[_state_dtype(precision, recipe)]
    return sum(_tensor_state_bytes(optimizer, tuple(shape), size) for shape in shapes)


def _tensor_state_bytes(optimizer: str, shape: tuple[int, ...], size: int) -> int:
    values, states = math.prod(shape), len(_STATES[optimizer])
    if optimizer == "muon" and len(shape) != 2:
        return len(_STATES["adamw"]) * values * size
    if optimizer == "musgd" and len(shape) not in (2, 4):
        return values * size
    if optimizer == "adafactor" and len(shape) > 1:
        rows, columns = math.prod(shape[:-1]), math.prod(shape[:-2]) * shape[-1]
        return (rows + columns) * size
    if optimizer in _EIGHT_BIT:
        return states * (values * 4 if values < _SMALLEST_8BIT else values + 4 * math.ceil(values / _BLOCK))
    return states * values * size


def _state(optimizer: str, name: str, dtype: str) -> Term:
    if optimizer == "adafactor":
        note = "one value per row and one per column of a matrix, next to nothing per parameter; a vector keeps one value per parameter"
        return Term(f"state {name}", "optimizer_states", dtype, Fraction(0), note=note)
    if optimizer in _EIGHT_BIT:
        note = f"one byte and a share of one fp32 maximum per {_BLOCK} values; tensors below {_SMALLEST_8BIT} values keep fp32"
        return Term(f"state {name}", "optimizer_states", "uint8", 1 + Fraction(4, _BLOCK), note=note)
    return Term(f"state {name}", "optimizer_states", dtype, Fraction(_VALUE_BYTES[dtype]), note=_NOTES.get((optimizer, name), ""))


def _value(name: str, component: str, dtype: str, *, forward_only: bool = False) -> Term:
    return Term(name, component, dtype, Fraction(_VALUE_BYTES[dtype]), forward_only)


def _weights_dtype(precision: str) -> str:
    return _DTYPES[precision] if precision in _HALF else "float32"


def _gradient_dtype(precision: str, recipe: str) -> str:
    return "float32" if recipe == "fp32-grads" else _weights_dtype(precision)


def _state_dtype(precision: str, recipe: str) -> str:
    # zeros_like(parameter) in every optimizer of torch 2.13: states follow the tensor that is stepped.
    return _weights_dtype(precision) if recipe == "torch" else "float32"


def _check(optimizer: str, precision: str, recipe: str) -> None:
    for kind, name, legal in (("optimizer", optimizer, OPTIMIZERS), ("precision", precision, PRECISIONS), ("recipe", recipe, get_args(Recipe))):
        if name not in legal:
            raise UnknownNameError(kind, name, legal, hint=f"Legal: {', '.join(legal)}.")
    if recipe != "torch" and precision not in _HALF:
        raise WorkloadError(f"precision {precision!r} and recipe {recipe!r} exclude each other: the recipe holds weights in fp16 or bf16.")
