"""Closed-form rules: the published figures, and the states of torch's own optimizers."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vramcast.errors import UnknownNameError, WorkloadError
from vramcast.rules import RECIPES, WEIGHT_BYTES, TrainingRow, state_bytes, training_table, training_terms, weights_table
from vramcast.trace import Component
from vramcast.workload import OPTIMIZERS, PRECISIONS

MILLION = 10**6
SHAPES = ((8, 6), (4, 3, 3, 5), (7,))
TORCH_OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p),
    "momentum": lambda p: torch.optim.SGD(p, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, momentum=0.9, nesterov=True),
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "asgd": torch.optim.ASGD,
    "rprop": torch.optim.Rprop,
    "adafactor": torch.optim.Adafactor,
}


def _row(precision: str, recipe: str, optimizer: str = "adamw", parameters: int = 100 * MILLION) -> TrainingRow:
    return next(row for row in training_table(parameters, optimizer) if (row.precision, row.recipe) == (precision, recipe))


def test_hundred_million_weights_in_every_precision() -> None:
    megabytes = {row.precision: row.bytes // MILLION for row in weights_table(100 * MILLION)}
    assert megabytes == {"fp32": 400, "tf32": 400, "fp16": 200, "bf16": 200, "fp8": 100, "int8": 100, "int4": 50}


@pytest.mark.parametrize(
    ("precision", "recipe", "all_terms", "held"),
    [
        ("fp32", "torch", 16, 16),
        ("bf16", "torch", 8, 8),
        ("amp-bf16", "torch", 18, 16),
        ("bf16", "half-states", 12, 12),
        ("bf16", "fp32-master", 16, 16),
        ("bf16", "fp32-grads", 18, 18),
    ],
)
def test_adamw_bytes_per_parameter(precision: str, recipe: str, all_terms: int, held: int) -> None:
    row = _row(precision, recipe)
    assert (row.bytes_per_parameter, row.held_per_parameter) == (all_terms, held)
    assert (row.bytes, row.held_bytes) == (all_terms * 100 * MILLION, held * 100 * MILLION)


def test_mixed_precision_adamw_needs_between_12_and_18_bytes() -> None:
    mixed = [row for row in training_table(100 * MILLION) if row.precision.startswith("amp-") or row.recipe != "torch"]
    assert (min(row.bytes for row in mixed), max(row.bytes for row in mixed)) == (1200 * MILLION, 1800 * MILLION)


def test_every_term_is_written_out() -> None:
    assert [(term.name, term.dtype, term.bytes_per_parameter) for term in training_terms("adamw", "bf16", "fp32-master", ema=True)] == [
        ("weights", "bfloat16", 2),
        ("gradients", "bfloat16", 2),
        ("master weights", "float32", 4),
        ("state exp_avg", "float32", 4),
        ("state exp_avg_sq", "float32", 4),
        ("EMA", "float32", 4),
    ]


def test_autocast_copies_are_the_only_forward_term() -> None:
    forward = [(term.name, term.dtype) for term in training_terms("sgd", "amp-fp16") if term.forward_only]
    assert forward == [("cast copies of weights", "float16")]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_has_terms_in_every_way(optimizer: str) -> None:
    rows = training_table(MILLION, optimizer, ema=True)
    assert {row.precision for row in rows} == set(PRECISIONS)
    assert {row.recipe for row in rows} == set(RECIPES)
    labels = {component.label for component in Component}
    assert all(term.component in labels for row in rows for term in row.terms)


def test_eight_bit_states() -> None:
    row = _row("fp32", "torch", "adamw8bit")
    assert row.bytes_per_parameter == 8 + 2 * (1 + Fraction(4, 256))
    assert state_bytes("adamw8bit", [(64, 64)], "fp32") == 2 * (4096 + 4 * 16)
    assert state_bytes("adamw8bit", [(4097,)], "fp32") == 2 * (4097 + 4 * 17)
    assert state_bytes("lion8bit", [(4095,)], "fp32") == 4 * 4095


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("optimizer", TORCH_OPTIMIZERS)
def test_states_are_those_torch_makes(optimizer: str, precision: str) -> None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    assert state_bytes(optimizer, SHAPES, precision) == _stepped_state_bytes(TORCH_OPTIMIZERS[optimizer], SHAPES, dtype)


def test_muon_states_are_those_torch_makes() -> None:
    matrices = ((8, 6), (5, 5))
    assert state_bytes("muon", matrices, "fp32") == _stepped_state_bytes(torch.optim.Muon, matrices, torch.float32)
    assert state_bytes("muon", [(8,)], "fp32") == state_bytes("adamw", [(8,)], "fp32")


def _stepped_state_bytes(make: object, shapes: tuple[tuple[int, ...], ...], dtype: torch.dtype) -> int:
    """Bytes of the states after a step, without the scalars."""
    parameters = [torch.nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    optimizer = make(parameters)  # type: ignore[operator]
    optimizer.step()
    tensors = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, torch.Tensor) and value.dim() > 0]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


@given(
    optimizer=st.sampled_from([name for name in OPTIMIZERS if name not in ("adafactor", "muon")]),
    shapes=st.lists(st.lists(st.integers(16, 40), min_size=2, max_size=2), min_size=1, max_size=4),
)
def test_per_parameter_terms_add_up_to_the_states(optimizer: str, shapes: list[list[int]]) -> None:
    """In whole blocks of 256 values, from 4096 values on, the table and the exact rule are one."""
    shapes = [[256 * rows, columns] for rows, columns in shapes]
    per_parameter = sum(term.bytes_per_parameter for term in training_terms(optimizer, "fp32") if term.component == "optimizer_states")
    assert state_bytes(optimizer, shapes, "fp32") == per_parameter * sum(rows * columns for rows, columns in shapes)


@given(parameters=st.integers(0, 10**15))
def test_tables_are_exact_and_ordered(parameters: int) -> None:
    for row in weights_table(parameters):
        assert row.bytes - 1 < WEIGHT_BYTES[row.precision] * parameters <= row.bytes
    for training in training_table(parameters):
        assert training.held_bytes <= training.bytes == training.bytes_per_parameter * parameters


def test_unknown_names_and_impossible_recipes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="optimizer"):
        training_table(1, "adan")
    with pytest.raises(UnknownNameError, match="recipe"):
        training_terms("adamw", "bf16", "master")
    with pytest.raises(WorkloadError, match="exclude each other"):
        training_terms("adamw", "amp-bf16", "fp32-master")
