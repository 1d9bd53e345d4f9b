"""Activation checkpointing: less is kept, and forward operators run again in backward."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from traced_steps import events_of, held_as, model_of, operators_in, traced

from vramcast.errors import WorkloadError
from vramcast.program.checkpointing import repeated_blocks
from vramcast.sources import registry
from vramcast.sources.interface import Model
from vramcast.trace import Component, Trace
from vramcast.workload import Workload


def kept(trace: Trace) -> int:
    """Activations alive when backward begins."""
    return held_as(trace, Component.ACTIVATIONS, int(events_of(trace, "backward")[0]))


def with_and_without(model: Model, **fields: object) -> tuple[Trace, Trace]:
    workload = Workload.train(**{"batch": 2, "optimizer": "sgd", "steps": 1, **fields})
    return traced(model, workload), traced(model, workload.with_fields(checkpointing=True))


ZOO = [
    ("torchvision:resnet50", "fp32", "aten::convolution", 0.5),
    ("torchvision:vit_b_16", "amp-bf16", "aten::_scaled_dot_product_flash_attention", 0.2),
    ("timm:vit_tiny_patch16_224", "amp-fp16", "aten::_scaled_dot_product_flash_attention", 0.2),
    ("ultralytics:yolo11n", "amp-fp16", "aten::convolution", 0.5),
]


@pytest.mark.parametrize(("name", "precision", "operator", "share"), ZOO)
def test_models_of_the_zoo(name: str, precision: str, operator: str, share: float) -> None:
    plain, checkpointed = with_and_without(registry.find(name), precision=precision)
    assert kept(checkpointed) < share * kept(plain)
    assert operator not in operators_in(plain, "backward")
    assert operator in operators_in(checkpointed, "backward")


LANGUAGE = {
    "bert": {"architectures": ["BertForMaskedLM"], "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256},
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_layer": 4, "n_head": 4, "bos_token_id": 0, "eos_token_id": 0},
    "llama": {"architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 256},
}


@pytest.mark.parametrize("kind", LANGUAGE)
def test_language_models(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind, "vocab_size": 64, **LANGUAGE[kind]}))
    plain, checkpointed = with_and_without(registry.find(f"transformers:{tmp_path}"), precision="amp-bf16", seq=128)
    assert kept(checkpointed) < 0.35 * kept(plain)
    assert "aten::addmm" in operators_in(checkpointed, "backward") or "aten::mm" in operators_in(checkpointed, "backward")
    assert "aten::_scaled_dot_product_flash_attention" in operators_in(checkpointed, "backward")


class Block(nn.Module):
    """A block with dropout, whose random state has to be restored."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


def blocks() -> nn.Module:
    return nn.Sequential(nn.Linear(32, 32), nn.Sequential(*[Block(32) for _ in range(4)]))


def test_a_block_keeps_its_input_only() -> None:
    plain, checkpointed = with_and_without(model_of(blocks), inputs=["input=8x32"])
    per_block = 8 * 32 * 4
    assert kept(checkpointed) == 4 * per_block
    assert kept(plain) > 4 * kept(checkpointed)


def test_dropout_runs_again_with_its_random_state() -> None:
    plain, checkpointed = with_and_without(model_of(blocks), inputs=["input=8x32"])
    assert "aten::native_dropout" not in operators_in(plain, "backward")
    assert "aten::native_dropout" in operators_in(checkpointed, "backward")


def test_gradients_and_states_are_as_without() -> None:
    plain, checkpointed = with_and_without(model_of(blocks), inputs=["input=8x32"], optimizer="adamw")
    for component in (Component.WEIGHTS, Component.GRADIENTS, Component.OPTIMIZER_STATES):
        assert held_as(plain, component, len(plain) - 1) == held_as(checkpointed, component, len(checkpointed) - 1) > 0


def test_blocks_are_the_outermost_that_repeat() -> None:
    module = blocks()
    assert list(repeated_blocks(module)) == list(module[1])
    assert not list(repeated_blocks(nn.Sequential(nn.Linear(2, 2), nn.ReLU())))


def test_named_modules_alone_are_checkpointed() -> None:
    workload = Workload.train(batch=2, optimizer="sgd", steps=1, inputs=["input=8x32"])
    plain = kept(traced(model_of(blocks), workload))
    one = kept(traced(model_of(blocks), workload.with_fields(checkpoint_modules=("1.0",))))
    all_four = kept(traced(model_of(blocks), workload.with_fields(checkpoint_modules=("1.*",))))
    whole = kept(traced(model_of(blocks), workload.with_fields(checkpointing=True)))
    per_block = 8 * 32 * 4
    # Linear and GELU save 4-fold outputs, dropout one mask byte per element, and the first Linear its input.
    assert plain - one == (plain - all_four) // 4 == 8 * 128 * (4 + 4 + 1)
    assert all_four == whole == 4 * per_block


def test_of_a_list_its_members_are_checkpointed_and_of_nested_modules_the_outermost() -> None:
    class Listed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(Block(32) for _ in range(3))

        def forward(self, input: torch.Tensor) -> torch.Tensor:
            for part in self.parts:
                input = part(input)
            return input

    workload = Workload.train(batch=2, optimizer="sgd", steps=1, inputs=["input=8x32"])
    by_list, by_all = (kept(traced(model_of(Listed), workload.with_fields(checkpoint_modules=(name,)))) for name in ("parts", "*"))
    assert by_list == by_all < 0.2 * kept(traced(model_of(Listed), workload))


def test_a_pattern_that_matches_no_module_is_refused() -> None:
    with pytest.raises(WorkloadError, match=r"pattern 'layer' matches no module\. Closest: "):
        traced(model_of(blocks), Workload.train(inputs=["input=8x32"], checkpoint_modules=["layer"]))


def single() -> nn.Module:
    return nn.Linear(4, 4)


def test_a_model_without_blocks_is_said_to_have_none() -> None:
    trace = traced(model_of(single), Workload.train(inputs=["input=2x4"], checkpointing=True, steps=1))
    assert any("no repeated blocks" in caveat.message for caveat in trace.caveats)
