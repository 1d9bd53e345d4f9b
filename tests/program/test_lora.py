"""Adapters: what is trained, kept and made, held against peft's own run on a CPU (`peft_truth.py`) and against closed forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import peft_truth
import pytest
import torch
from peft_truth import BATCH, CASES, SMALL, TOKENS
from torch import nn
from traced_steps import events_of, held_as, live_bytes, model_of, traced

from vramcast.errors import WorkloadError
from vramcast.program.prepare import prepare
from vramcast.program.quantized import pack_weights
from vramcast.sources.interface import Model
from vramcast.sources.transformers import Transformers
from vramcast.trace import Component, Event, Trace
from vramcast.workload import Workload

GOLDEN: dict[str, Any] = json.loads(peft_truth.GOLDEN.read_text())["cases"]


class Deaf:
    """A probe that hears nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **keywords: None


def workload(name: str) -> Workload:
    _, lora, precision, weights = CASES[name]
    return Workload.train(seq=TOKENS, batch=BATCH, optimizer="sgd", steps=1, attention="eager", precision=precision, weights=weights, lora=lora)


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Model]:
    config = CASES[request.param][0]
    return request.param, Transformers().load(peft_truth.folder_of(config, tmp_path))


def test_what_is_trained_and_kept_is_what_peft_trains_and_keeps(case: tuple[str, Model]) -> None:
    name, model = case
    module = model.build(None)
    pack_weights(module, workload(name), model)
    module = prepare(module, model, workload(name), Deaf()).module
    ids = torch.zeros((BATCH, TOKENS), dtype=torch.int64)
    assert sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad) == GOLDEN[name]["trained"]
    assert peft_truth.saved_bytes(module, ids, CASES[name][2]) == GOLDEN[name]["saved"]


def test_a_training_step_allocates_what_peft_allocates(case: tuple[str, Model]) -> None:
    name, model = case
    trace = traced(model, workload(name))
    assert trace.subject.trainable_parameters == GOLDEN[name]["trained"]
    assert trace.subject.parameters == GOLDEN[name]["all"]
    if "events" in GOLDEN[name]:
        assert _sizes(trace) == GOLDEN[name]["events"]


def _sizes(trace: Trace) -> list[int]:
    events = np.concatenate([events_of(trace, "forward"), events_of(trace, "backward")])
    sizes = (np.where(trace.kinds[events] == Event.ALLOCATE, 1, -1) * trace.sizes[trace.blocks[events]]).tolist()
    return [size for size in sizes if abs(size) > SMALL]


SIDE, RANK, ROWS = 256, 4, 64


class TwoLayers(nn.Module):
    """Two linear layers by name, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(SIDE, SIDE)
        self.blocks = nn.Sequential(nn.Linear(SIDE, SIDE), nn.LayerNorm(SIDE))
        self.head = nn.Linear(SIDE, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.first(x)))


def small(mode: str = "train", **fields: Any) -> Trace:
    made = Workload.train if mode == "train" else Workload.infer
    return traced(model_of(TwoLayers), made(**{"inputs": [f"x={ROWS}x{SIDE}"]} | fields))


def test_only_adapters_have_gradients_and_states() -> None:
    trace = small(lora={"rank": RANK, "target": ["first"]}, optimizer="adamw")
    adapters = 2 * SIDE * RANK
    last = int(events_of(trace, "optimizer", 1)[-1])
    assert trace.subject.trainable_parameters == adapters
    assert held_as(trace, Component.GRADIENTS, last) == adapters * 4
    assert held_as(trace, Component.OPTIMIZER_STATES, last) == adapters * 2 * 4, "two states; step counts stay on the CPU"
    assert held_as(trace, Component.WEIGHTS, last) == (trace.subject.parameters) * 4


@pytest.mark.parametrize(("precision", "dtype", "size"), [("bf16", "fp32", 4), ("bf16", "module", 2), ("amp-bf16", "module", 4), ("fp32", "fp32", 4)])
def test_adapters_stay_in_fp32_unless_they_follow_the_base(precision: str, dtype: str, size: int) -> None:
    trace = small(lora={"rank": RANK, "target": ["first"], "dtype": dtype}, precision=precision, inputs=[f"x={ROWS}x{SIDE}:bfloat16"])
    gradients = trace.sizes[trace.components == Component.GRADIENTS]
    assert set(gradients.tolist()) == {SIDE * RANK * size}


def test_a_base_loaded_in_16_bits_stays_so_under_autocast() -> None:
    def held(**lora: Any) -> int:
        trace = small(lora={"rank": RANK, "target": ["first"], **lora}, precision="amp-bf16")
        return held_as(trace, Component.WEIGHTS, int(events_of(trace, "forward", 0)[0]))

    adapters, base = 2 * SIDE * RANK, sum(parameter.numel() for parameter in TwoLayers().parameters())
    assert held() == (base + adapters) * 4
    assert held(base="autocast") == base * 2 + adapters * 4
    assert held(base="autocast", dtype="module") == (base + adapters) * 2
    with pytest.raises(WorkloadError, match="there is no autocast"):
        small(lora={"rank": RANK, "base": "autocast"}, precision="bf16")


def test_dropout_keeps_what_is_left_of_the_input_and_a_mask_of_bytes() -> None:
    def kept(dropout: float) -> int:
        trace = small(lora={"rank": RANK, "target": ["first", "blocks.0"], "dropout": dropout}, optimizer="sgd", steps=1)
        return held_as(trace, Component.ACTIVATIONS, int(events_of(trace, "forward")[-1]))

    batch_left, hidden_left_for_hidden, mask = 4, 0, 1
    assert kept(0.1) - kept(0.0) == ROWS * SIDE * (batch_left + hidden_left_for_hidden + mask)


def test_adapters_take_part_in_inference() -> None:
    plain, adapted = small("infer"), small("infer", lora={"rank": RANK, "target": ["all-linear"]})
    added = RANK * (4 * SIDE + SIDE + 8)
    assert adapted.subject.parameters - plain.subject.parameters == added
    assert adapted.sizes[adapted.components == Component.WEIGHTS].sum() - plain.sizes[plain.components == Component.WEIGHTS].sum() == added * 4


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"rank": RANK}, "no choice of its own for TwoLayers.*all-linear, or some of first, blocks.0, head"),
        ({"rank": RANK, "target": ["q_proj"]}, "'q_proj' matches no layer of TwoLayers. Its linear layers are first, blocks.0, head"),
        ({"rank": RANK, "target": ["blocks.1"]}, "matches blocks.1, a LayerNorm; adapters of linear layers"),
        ({"rank": RANK, "target": ["first"], "save": ["classifier"]}, "lora.save 'classifier' names no module.*first, blocks, head"),
        ({"rank": 0}, "lora.rank is 0"),
        ({"rank": RANK, "dropout": 1.0}, "lora.dropout is 1.0"),
        ({"rank": RANK, "target": ["all-linear", "first"]}, "exclude each other"),
        ({}, "lora has no rank"),
    ],
)
def test_what_does_not_go_is_refused_with_the_way_out(lora: dict[str, Any], said: str) -> None:
    with pytest.raises(WorkloadError, match=said):
        small(lora=lora)


def test_what_adapters_do_not_go_with_is_refused() -> None:
    with pytest.raises(WorkloadError, match="freeze 'first' exclude each other"):
        Workload.train(lora={"rank": RANK}, freeze=["first"])
    for backend in ("tensorrt", "onnxruntime"):
        with pytest.raises(WorkloadError, match="merged into the weights"):
            Workload.infer(lora={"rank": RANK}, backend=backend)


def test_layers_that_a_model_wants_in_fp32_are_not_packed_and_have_adapters_all_the_same(tmp_path: Path) -> None:
    """T5 looks at the weight of the second layer of its MLPs, which transformers packs in no format."""
    sizes = {"d_model": 32, "d_ff": 64, "d_kv": 8, "num_heads": 4, "num_layers": 1, "vocab_size": 100, "decoder_start_token_id": 0}
    folder = peft_truth.folder_of({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], **sizes}, tmp_path)
    fields: dict[str, Any] = {"seq": 8, "precision": "bf16", "weights": "int8", "steps": 1}
    trace = traced(Transformers().load(folder), Workload.train(lora={"rank": 1, "target": ["wo"]}, **fields))
    assert trace.subject.trainable_parameters == 2 * (64 + 32), "one MLP in the encoder, one in the decoder"
    weights = trace.sizes[trace.components == Component.WEIGHTS].tolist()
    assert weights.count(32 * 64 * 2) == 2, "wo, in bf16"
    assert weights.count(32 * 64) == 2, "wi, in bytes"


def test_experts_in_one_tensor_are_told_to_have_no_adapters(tmp_path: Path) -> None:
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "vocab_size": 100,
    }
    folder = peft_truth.folder_of({"model_type": "mixtral", "architectures": ["MixtralForCausalLM"], **sizes}, tmp_path)
    trace = traced(Transformers().load(folder), Workload.train(lora={"rank": 1, "target": ["all-linear"]}, seq=8, steps=1))
    assert trace.subject.trainable_parameters == 4 * (32 + 32), "queries, keys, values and outputs"
    assert [caveat.message for caveat in trace.caveats if "target_parameters" in caveat.message]


def test_packed_and_checkpointed_a_decoder_keeps_inputs_of_blocks_alone(tmp_path: Path) -> None:
    """QLoRA: what one more token leaves behind is the input of each block in fp32, what the last one gives, and what the head's loss keeps."""
    folder = peft_truth.folder_of(peft_truth.LLAMA, tmp_path)

    def kept(tokens: int) -> int:
        lora = {"rank": 8, "target": ["all-linear"]}
        made = Workload.train(seq=tokens, batch=BATCH, precision="amp-bf16", weights="int4-nf4", lora=lora, steps=1, checkpointing=True)
        trace = traced(Transformers().load(folder), made)
        return int(live_bytes(trace)[events_of(trace, "forward")[-1]])

    layers, hidden, vocabulary, head = 2, 64, 1000, 16
    streams = (layers + 1) * hidden * 4
    logits, log_softmax = vocabulary * 2, vocabulary * 4
    ids, norm = 3 * 8, 4
    cosines_and_sines, position = 2 * head * 4, 8
    of_all_samples = streams + logits + log_softmax + ids + norm
    assert kept(96) - kept(64) == 32 * (BATCH * of_all_samples + cosines_and_sines + position)
