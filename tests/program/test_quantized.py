"""Packed layers: what is held, what each product makes, and what training through them keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import vramcast
from vramcast import Component, Workload
from vramcast.errors import WorkloadError
from vramcast.weight_formats import PACKED

SIDE, ROWS = 2048, 2048


class TwoLayers(nn.Module):
    """One layer that can be packed, and a head that stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(SIDE)
        self.packed = nn.Linear(SIDE, SIDE, bias=False)
        self.head = nn.Linear(SIDE, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.packed(self.norm(x)))


def estimate(form: str | None, mode: str = "infer", rows: int = ROWS, **fields: object) -> vramcast.Estimate:
    made = Workload.train if mode == "train" else Workload.infer
    return vramcast.estimate(TwoLayers, made(inputs=[f"x={rows}x{SIDE}:float16"], precision="fp16", weights=form, steps=1, **fields))


def sizes(answer: vramcast.Estimate, module: str) -> list[int]:
    """Requested bytes of what the calls of a module allocate beside its weights, in order."""
    trace = answer.trace
    births = np.argsort(trace.allocated_at)
    operators = trace.operation_modules[trace.operations[trace.allocated_at]]
    own = [block for block in births if trace.modules[operators[block]] == module]
    return [int(trace.sizes[block]) for block in own if trace.components[block] not in (Component.WEIGHTS, Component.BUFFERS, Component.WORKSPACE)]


MATRIX, OUTPUT = SIDE * SIDE * 2, ROWS * SIDE * 2


@pytest.mark.parametrize(
    ("form", "made"),
    [
        (None, [OUTPUT]),
        ("int4-gptq", [OUTPUT]),
        ("int4-nf4", [MATRIX, OUTPUT]),
        ("int4-nf4-double", [SIDE * SIDE // 64 * 4, SIDE * SIDE // 64 * 4, MATRIX, OUTPUT]),
        ("int4-awq", [MATRIX, OUTPUT]),
        ("gguf:Q4_K_M", [MATRIX, OUTPUT]),
    ],
)
def test_what_a_product_of_many_vectors_makes(form: str | None, made: list[int]) -> None:
    assert sizes(estimate(form), "packed") == made


def test_eight_bits_sum_in_int32() -> None:
    rows = 512
    made = sizes(estimate("int8", rows=rows), "packed")
    assert rows * SIDE * 4 in made, "the sums"
    assert rows * SIDE in made, "the rounded input"
    assert MATRIX not in made


@pytest.mark.parametrize(("form", "made"), [("int4-nf4", [2 * SIDE * 2]), ("int4-awq", [8 * 2 * SIDE * 2, 2 * SIDE * 2])])
def test_a_few_vectors_need_no_unpacked_weight(form: str, made: list[int]) -> None:
    assert sizes(estimate(form, rows=2), "packed") == made


@pytest.mark.parametrize("form", PACKED)
def test_the_head_stays_and_parameters_are_counted_as_before(form: str) -> None:
    answer, plain = estimate(form), estimate(None)
    assert answer.model.parameters == plain.model.parameters
    trace = answer.trace
    held = trace.sizes[trace.components == Component.WEIGHTS]
    assert SIDE * 32 * 2 in held
    assert MATRIX not in held


@pytest.mark.parametrize("form", ["int8", "int4-nf4", "int4-nf4-double", "int4-awq"])
def test_what_lies_before_a_packed_layer_can_be_trained(form: str) -> None:
    answer = estimate(form, "train")
    trained = 2 * SIDE + SIDE * 32 + 32
    assert answer.model.trainable_parameters == trained
    gradients = answer.trace.sizes[answer.trace.components == Component.GRADIENTS]
    assert gradients.sum() == trained * 2
    phases = [answer.trace.phases[answer.trace.operation_phases[answer.trace.operations[event]]].name for event in answer.trace.allocated_at]
    unpacked = [phase for phase, size in zip(phases, answer.trace.sizes) if size == MATRIX and phase == "backward"]
    assert unpacked, "the gradient of the input takes the weight once more"


@pytest.mark.parametrize(
    ("form", "mode", "fields", "said"),
    [
        ("fp8", "train", {}, "no backward pass"),
        ("gguf:Q4_K_M", "train", {}, "no backward pass"),
    ],
)
def test_what_the_kernels_do_not_do_is_refused(form: str, mode: str, fields: dict[str, object], said: str) -> None:
    with pytest.raises(WorkloadError, match=said):
        estimate(form, mode, **fields)


def test_gptq_kernels_take_half_precision_alone() -> None:
    with pytest.raises(WorkloadError, match="use 'fp16'"):
        vramcast.estimate(TwoLayers, Workload.infer(inputs=[f"x=4x{SIDE}"], weights="int4-gptq"))


def test_a_network_without_linear_layers_is_told_so() -> None:
    with pytest.raises(WorkloadError, match="has none"):
        vramcast.estimate("torchvision:resnet18", Workload.infer(weights="int8"))


def test_old_kernels_keep_their_input() -> None:
    """bitsandbytes before 0.43.2 (pull request 1270): what goes into a packed layer, which nothing else keeps, stays until the backward pass."""

    def kept(**habits: str) -> int:
        trace = estimate("int4-nf4", "train", habits=habits).trace
        begin = next(index for index, phase in enumerate(trace.phases) if phase.name == "backward")
        live = trace.live_blocks(int(np.flatnonzero(trace.event_phases() == begin)[0]))
        return int(trace.sizes[live].sum())

    assert kept(packed_input="kept") - kept() == ROWS * SIDE * 2


def test_four_bits_are_computed_in_autocast_s_type() -> None:
    """Linear4bit casts its input to the compute type and its output back; the weight is never unpacked to fp32."""
    workload = Workload.infer(inputs=[f"x={ROWS}x{SIDE}"], precision="amp-bf16", weights="int4-nf4", steps=1)
    assert sizes(vramcast.estimate(TwoLayers, workload), "packed") == [OUTPUT, MATRIX, OUTPUT, 2 * OUTPUT]
